/** seek-bzip: the one call of that library which is used here. It has no types of its own. */
declare module "seek-bzip" {
  interface ByteSink {
    writeByte(byte: number): void;
  }
  const Bunzip: {
    /** @throws TypeError for damaged data */
    decode(input: Uint8Array, output: ByteSink, multistream: boolean): void;
  };
  export default Bunzip;
}
