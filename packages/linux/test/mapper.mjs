// A process that holds a dma-buf by a mapping alone: maps descriptor 3, closes it, says so and waits.
import koffi from "koffi";

const libc = koffi.load(null);
const mmap = libc.func("void *mmap(void *a, size_t length, int p, int f, int fd, intptr_t offset)");
const close = libc.func("int close(int fd)");
const [PROT_READ, MAP_SHARED, BUFFER] = [1, 1, 3];

const address = mmap(null, Number(process.argv[2]), PROT_READ, MAP_SHARED, BUFFER, 0);
close(BUFFER);
console.log(address === null ? "failed" : "mapped");
process.stdin.resume();
