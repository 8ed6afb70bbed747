/**
 * RDMA bench: the server machine with a driver on each of its NICs, and a queue pair between them.
 */
import type { Opened } from "@peerbuf/core";
import {
  connectQueuePairs,
  type Rdma,
  type RdmaQueuePair,
  type RdmaQueuePairOptions,
  rdma,
} from "@peerbuf/importers";
import {
  FAR_NIC,
  NEAR_NIC,
  type Server,
  type ServerOptions,
  startServer,
} from "./server-machine.ts";

export const FULL_ACCESS = { localWrite: true, remoteWrite: true, remoteRead: true } as const;

/** Both ends of a new connection. */
export async function connected(
  one: Rdma,
  other: Rdma,
  options: RdmaQueuePairOptions = {},
): Promise<[RdmaQueuePair, RdmaQueuePair]> {
  const ends = [await one.createQueuePair(options), await other.createQueuePair()] as const;
  await connectQueuePairs(...ends);
  return [...ends];
}

export interface RdmaBench extends Disposable {
  readonly server: Server;
  readonly near: Opened<Rdma>;
  readonly far: Opened<Rdma>;
  /** From the near NIC to the far one ... */
  readonly queuePair: RdmaQueuePair;
  /** ... and its other end. */
  readonly otherEnd: RdmaQueuePair;
}

export async function startRdma(options: ServerOptions = {}): Promise<RdmaBench> {
  const server = startServer(options);
  const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
  const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
  const [queuePair, otherEnd] = await connected(near.api, far.api);
  const dispose = (): void => server[Symbol.dispose]();
  return { server, near, far, queuePair, otherEnd, [Symbol.dispose]: dispose };
}
