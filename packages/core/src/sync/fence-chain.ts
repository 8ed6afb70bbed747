/**
 * Fence chain: a growing list of fences in which a node is done when everything up to it is.
 *
 * Node = (previous, contained fence, seqno), as behind DRM timeline syncobjs (Linux 6.12,
 * drivers/dma-buf/dma-fence-chain.c). Walking the chain drops nodes whose fence is signaled. Errors
 * of contained fences do not travel along the chain.
 */
import { PeerbufError } from "../error.ts";
import { type DeferredSignal, defer } from "./delivery.ts";
import type { Fence } from "./fence.ts";
import { FenceBase } from "./fence-base.ts";
import type { FenceContext } from "./fence-context.ts";

const NAMES = { driverName: "dma_fence_chain", timelineName: "unbound", seqnoBits: 64 } as const;

export class FenceChain extends FenceBase implements DeferredSignal {
  /** The contained fence: any fence or an array, never a chain. */
  readonly fence: Fence;
  /** The previous node's seqno; 0 when this node began a timeline. */
  readonly previousSeqno: number;
  private previous: Fence | undefined;

  /**
   * A later seqno than the previous node's stays on its timeline. Any other begins a new one, and
   * never lies below the previous node's: a jump back cannot lower the chain.
   */
  constructor(previous: Fence | undefined, fence: Fence, seqno: number) {
    const place = placeAfter(previous, fence, seqno);
    super(place.context, place.seqno);
    this.previous = previous;
    this.previousSeqno = place.previousSeqno;
    this.fence = fence;
  }

  override get isContainer(): boolean {
    return true;
  }

  override setDeadline(deadlineNs: number): void {
    if (!this.isSignaled) {
      for (const link of chainLinks(this)) {
        containedFence(link).setDeadline(deadlineNs);
      }
    }
  }

  /** The next older link that is not done; done ones in between leave the chain. */
  walk(): Fence | undefined {
    while (this.previous !== undefined && containedFence(this.previous).poll()) {
      this.previous = this.previous instanceof FenceChain ? this.previous.previous : undefined;
    }
    return this.previous;
  }

  /** Waits for the next link, or signals when there is none left. */
  runDeferred(): void {
    if (!this.isSignaled && !this.beginSignaling()) {
      this.finish(undefined);
    }
  }

  protected override beginSignaling(): boolean {
    for (const link of chainLinks(this)) {
      if (containedFence(link).addCallback(this.onLink, this) === "queued") {
        return true;
      }
    }
    return false;
  }

  protected override peek(): boolean {
    for (const link of chainLinks(this)) {
      if (!containedFence(link).poll()) {
        return false;
      }
    }
    return true;
  }

  private readonly onLink = (): void => defer(this);
}

/** From a node back to the oldest link that is not done; a fence that is no chain stands alone. */
export function* chainLinks(head: Fence): Generator<Fence> {
  for (let link: Fence | undefined = head; link !== undefined; link = walkChain(link)) {
    yield link;
  }
}

function walkChain(link: Fence): Fence | undefined {
  return link instanceof FenceChain ? link.walk() : undefined;
}

/** What a link waits for itself, without the links before it. */
export function containedFence(link: Fence): Fence {
  return link instanceof FenceChain ? link.fence : link;
}

/**
 * The link whose signal means that everything up to `seqno` is done; undefined when it is done
 * already. 0 gives the head. EINVAL when the head is no chain or has not come so far.
 */
export function findSeqno(head: Fence, seqno: number): Fence | undefined {
  if (seqno === 0) {
    return head;
  }
  if (!(head instanceof FenceChain) || head.seqno < seqno) {
    const what = head instanceof FenceChain ? `chain at ${head.seqno}` : head.driverName;
    throw new PeerbufError("ARGUMENT_INVALID", `no seqno ${seqno} on a ${what}`);
  }
  for (const link of chainLinks(head)) {
    const isEarlier = link instanceof FenceChain && link.previousSeqno < seqno;
    if (link.context !== head.context || isEarlier) {
      return link;
    }
  }
  return undefined;
}

interface Place {
  readonly context: FenceContext;
  readonly seqno: number;
  readonly previousSeqno: number;
}

function placeAfter(previous: Fence | undefined, fence: Fence, seqno: number): Place {
  if (fence instanceof FenceChain) {
    const message = "a chain node cannot contain a chain: link it as the previous node";
    throw new PeerbufError("FENCE_IS_CONTAINER", message);
  }
  if (previous instanceof FenceChain && seqno > previous.seqno) {
    return { context: previous.context, seqno, previousSeqno: previous.seqno };
  }
  const context = fence.context.domain.createContext(NAMES);
  const floor = previous instanceof FenceChain ? previous.seqno : 0;
  return { context, seqno: Math.max(floor, seqno), previousSeqno: 0 };
}
