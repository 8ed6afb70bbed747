import { it } from "vitest";
import { debianKernel } from "/work/linux-tree/test/linux/guest/debian-kernel.ts";
import { makeInitramfs } from "/work/linux-tree/test/linux/guest/initramfs.ts";
import { boot } from "/work/linux-tree/test/linux/guest/qemu.ts";
it("boots", async () => {
  const cache="/work/linux-tree/node_modules/.cache/peerbuf-guest";
  const kernel = debianKernel(cache);
  const tree="/work/linux-tree";
  const initramfs = makeInitramfs(cache, kernel, { tree, command: process.env.CMD ?? "uname -a; ls -la /dev/dma_heap /dev/udmabuf /dev/dri; node -e 'console.log(process.version)'; ls", modules: ["vgem","vivid","virtio-gpu","nvme","rdma_rxe"] });
  const t=Date.now();
  const status = await boot({ image: kernel.image, initramfs, tree, devices: ["-device","virtio-gpu-pci"], limitMs: 120000, onLine: (l)=>console.log(((Date.now()-t)/1000).toFixed(1), l) });
  console.log("status", status);
}, 200000);
