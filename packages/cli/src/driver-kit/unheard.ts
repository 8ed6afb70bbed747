/** Unheard: a rejection that nobody awaits is the driver's. It is told, and the work goes on without it. */
export function tellUnheard(): void {
  process.on("unhandledRejection", (reason) => {
    const text = reason instanceof Error ? reason.message : String(reason);
    process.stderr.write(`a promise of the driver was rejected and nobody looked: ${text}\n`);
  });
}
