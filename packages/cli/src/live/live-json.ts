/**
 * Live JSON: a live run as `liveRunShape` describes it: apart from it, so that the command loads no schemas.
 */
import type { LiveRun } from "./live-run.ts";
import type { LiveTransfer } from "./live-transfer.ts";

export const liveRunAsJson = ({ memory, transfers, missing, isOk }: LiveRun): unknown => ({
  memory,
  transfers: transfers.map(transferAsJson),
  missing,
  ok: isOk,
});

const transferAsJson = (transfer: LiveTransfer): unknown => ({
  name: transfer.name,
  provider: transfer.provider,
  client: transfer.client,
  state: transfer.state,
  target: transfer.target ?? null,
  route: transfer.route ?? null,
  bytes: transfer.bytes,
  sha256: { source: transfer.source ?? null, destination: transfer.destination ?? null },
  attached: transfer.attached ?? null,
  ...(transfer.error !== undefined && {
    error: { code: transfer.error.code, message: transfer.error.message },
  }),
  decisions: transfer.decisions.map(({ party, by, stage, verdict, reason, left, round }) => ({
    party,
    by,
    stage,
    verdict,
    reason: reason.code,
    text: reason.text,
    left,
    round,
  })),
});
