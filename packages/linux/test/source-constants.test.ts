/**
 * Every number in the sources of this package that has the name of a macro of C has its value: looked up in the
 * kernel's and the C library's headers by this machine's compiler. Without one it is skipped, with the reason.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { request } from "../src/sys/ioctl.ts";
import { isMissing, run } from "./c-program.ts";

const HEADERS: readonly string[] = [
  ...["errno.h", "fcntl.h", "poll.h", "dlfcn.h", "sys/mman.h", "sys/socket.h", "sys/epoll.h"],
  ...["linux/dma-buf.h", "linux/dma-heap.h", "linux/udmabuf.h", "linux/sync_file.h"],
  ...["linux/magic.h", "linux/memfd.h", "linux/videodev2.h"],
  ...["rdma/rdma_user_ioctl.h", "rdma/rdma_user_ioctl_cmds.h"],
];

/** Not in Debian's linux-libc-dev: looked at where they are. The guests prove their numbers on a kernel. */
const GRAPHICS: readonly string[] = ["drm/drm.h", "drm/drm_mode.h", "drm/vgem_drm.h"];

/** What C calls it, where we have a shorter or clearer name; by file and ours. */
const NAMES_IN_C: Readonly<Record<string, string>> = {
  "sys/poller.ts:CTL_ADD": "EPOLL_CTL_ADD",
  "sys/poller.ts:CTL_DEL": "EPOLL_CTL_DEL",
  "sys/poller.ts:CTL_MOD": "EPOLL_CTL_MOD",
  "sys/poller.ts:ONE_SHOT": "EPOLLONESHOT",
  "sys/poller.ts:POLL_IN": "POLLIN",
  "sys/poller.ts:POLL_OUT": "POLLOUT",
  "buffers/udmabuf.ts:CLOEXEC": "UDMABUF_FLAGS_CLOEXEC",
  "drm/drm-requests.ts:PRIME_CAP_IMPORT": "DRM_PRIME_CAP_IMPORT",
  "drm/drm-requests.ts:PRIME_CAP_EXPORT": "DRM_PRIME_CAP_EXPORT",
  "drm/drm-requests.ts:PRIME_FLAGS": "(DRM_CLOEXEC | DRM_RDWR)",
  "buffers/dma-buf-requests.ts:DMA_BUF_MAGIC": "DMA_BUF_MAGIC",
  "buffers/dma-buf-requests.ts:SYNC_END": "DMA_BUF_SYNC_END",
  "drm/vgem-fences.ts:WRITE": "VGEM_FENCE_WRITE",
};

/** Ours that C knows by this name as something else. */
const NOT_OF_C: ReadonlySet<string> = new Set(["NAME_MAX"]);

interface Constant {
  readonly place: string;
  readonly nameInC: string;
  readonly value: number;
}

const SOURCES: string = fileURLToPath(new URL("../src/", import.meta.url));
/** `const NAME = NUMBER;` and `const NAME: number = request(...);`, the number in any notation. */
const DECLARATION =
  /^(?:export )?const ([A-Z][A-Z0-9_]*)(?:: number)? = (request\([^()]*\)|[\d_xa-f*| ]+n?);$/gm;

function constantsIn(file: string): Constant[] {
  const text = readFileSync(join(SOURCES, file), "utf8");
  return [...text.matchAll(DECLARATION)].flatMap(([, name = "", expression = ""]) => {
    const place = `${file}:${name}`;
    const value = Number(new Function("request", `return ${expression};`)(request));
    return NOT_OF_C.has(name) ? [] : [{ place, nameInC: NAMES_IN_C[place] ?? name, value }];
  });
}

/** Values of those that C knows. */
function valuesInC(names: readonly string[]): Map<string, number> {
  const lines = names.map((name) => {
    const print = `printf("${name} %lu\\n", (unsigned long)(${name}));`;
    return name.startsWith("(") ? print : `#ifdef ${name}\n${print}\n#endif`;
  });
  const pairs = run(hasGraphics ? [...HEADERS, ...GRAPHICS] : HEADERS, lines.join("\n"))
    .trim()
    .split("\n");
  return new Map(
    pairs.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

const isSkipped = process.platform !== "linux" || isMissing(HEADERS);
const hasGraphics = !(isSkipped || isMissing(GRAPHICS));

describe.skipIf(isSkipped)("numbers of the sources", () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" });
  const constants = files.filter((file) => file.endsWith(".ts")).flatMap(constantsIn);
  const asked = constants.filter(({ nameInC }) => hasGraphics || !/DRM_|VGEM_/.test(nameInC));
  const known = isSkipped
    ? new Map<string, number>()
    : valuesInC([...new Set(asked.map(({ nameInC }) => nameInC))]);
  const found = constants.filter(({ nameInC }) => known.has(nameInC));

  it("are those of the headers, wherever C has the name", () => {
    const ours = Object.fromEntries(found.map(({ place, value }) => [place, value]));
    const theirs = Object.fromEntries(
      found.map(({ place, nameInC }) => [place, known.get(nameInC)]),
    );
    expect(ours).toEqual(theirs);
  });

  it("were looked at: every request, and the constants of the C library", () => {
    const names = new Set(found.map(({ nameInC }) => nameInC));
    const renamed = asked.filter(({ place }) => place in NAMES_IN_C);
    expect(renamed.filter(({ nameInC }) => !names.has(nameInC))).toEqual([]);
    const requests = asked.filter(({ nameInC }) => /IOC|^VIDIOC|CREATE_LIST/.test(nameInC));
    expect(requests.length).toBeGreaterThanOrEqual(19);
    // Headers of 6.1 do not know the deadline of 6.4 yet.
    const unknown = requests.filter(({ nameInC }) => !known.has(nameInC));
    expect(unknown.filter(({ nameInC }) => nameInC !== "SYNC_IOC_SET_DEADLINE")).toEqual([]);
    expect(found.length).toBeGreaterThanOrEqual(70);
  });
});
