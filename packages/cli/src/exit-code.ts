/** Exit codes: what a script can rely on. `docs/cli.md` has the same table. */
export const EXIT = {
  /** Yes, fine, done. */
  OK: 0,
  /** A real finding: P2P is not possible, a transfer failed, a bar was missed. */
  FINDING: 1,
  /** Wrong usage or unreadable input; nothing was done. */
  USAGE: 2,
  /** Stopped by the person (128 + SIGINT) before there was a finding. */
  INTERRUPTED: 130,
  /** A bug in peerbuf (EX_SOFTWARE of sysexits.h). */
  BUG: 70,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
