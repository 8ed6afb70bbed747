/**
 * Peer refusal: what every DMA layer refuses of a request for peer memory, before it looks at addresses.
 */
import type { DmaRefusal, DmaRequest } from "@peerbuf/core";

/**
 * EREMOTEIO where the platform cannot do P2P and for clients that are no PCI function themselves
 * (`pci_p2pdma_map_type`, 6.12); EINVAL for a bus address of nobody. `undefined`: go on.
 */
export function refusePeer(
  { route, provider, client }: DmaRequest,
  peerToPeer: boolean,
): DmaRefusal | undefined {
  if (route === "system") {
    return undefined;
  }
  if (!peerToPeer) {
    return NO_PEER_TO_PEER;
  }
  if (client.bus !== "pci") {
    const text = `${client.id} is on ${client.bus}: peer memory is mapped for PCI functions only, not for what is behind them`;
    return { answer: "refused", errno: "EREMOTEIO", code: "CLIENT_NOT_PCI", text };
  }
  return route === "bus-addr" && provider === undefined ? NO_PROVIDER : undefined;
}

const NO_PEER_TO_PEER: DmaRefusal = Object.freeze({
  answer: "refused",
  errno: "EREMOTEIO",
  code: "P2P_NOT_SUPPORTED",
  text: "this platform's DMA operations do not know peer memory",
});

const NO_PROVIDER: DmaRefusal = Object.freeze({
  answer: "refused",
  errno: "EINVAL",
  code: "PROVIDER_MISSING",
  text: "a bus address was asked for, but not whose",
});
