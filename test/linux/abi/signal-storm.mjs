// A process of its own, because handlers of signals belong to a main thread: waits in the kernel for a fence that
// expires after 10 s, while signals interrupt it, and says how it went. Its argument is a vgem node.
import { spawn } from "node:child_process";
import { attachVgemFence, DrmDevice } from "@peerbuf/linux";

process.on("SIGUSR2", () => undefined);
const vgem = new DrmDevice(process.argv[2]);
const { handle } = vgem.createDumb(64, 64);
const buffer = vgem.exportHandle(handle);
attachVgemFence(vgem, handle, "write");
const storm = spawn("sh", ["-c", `while kill -USR2 ${process.pid}; do sleep 0.05; done`]);
await new Promise((resolve) => storm.once("spawn", resolve));
const first = buffer.withBytesSync("write", (bytes) => bytes.fill(7)[0]);
storm.kill("SIGKILL");
console.log(`wrote ${first}`);
buffer.close();
vgem.close();
