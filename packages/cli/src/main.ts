/** Main: the process around the command. Importing this file runs it; `bin/peerbuf.js` does. */
import { processIo } from "./process-io.ts";
import { main } from "./program.ts";

// Not process.exit(): what was written must reach a slow reader first.
process.exitCode = await main(process.argv.slice(2), processIo());
