/**
 * Fence chain: the checks of Linux's drivers/dma-buf/st-dma-fence-chain.c, then what is special here.
 */
import {
  chainLinks,
  containedFence,
  type Fence,
  FenceArray,
  FenceChain,
  FenceError,
  findSeqno,
  SoftwareFence,
} from "@peerbuf/core";
import { describe, expect, it } from "vitest";
import { randomFrom, settleTasks, testDomain } from "./virtual-clock.ts";

const NODES = 64;

interface Link {
  readonly node: FenceChain;
  readonly fence: SoftwareFence;
}

/** A chain over fences of separate timelines, as in the kernel's tests. */
function fenceChain(count: number, seqnoOf: (index: number) => number = (index) => index + 1) {
  const { domain, clock } = testDomain();
  const links: Link[] = [];
  let previous: FenceChain | undefined;
  for (let index = 0; index < count; index++) {
    const context = domain.createContext({ driverName: "mock", timelineName: "ring" });
    const fence = new SoftwareFence(context, 0);
    previous = new FenceChain(previous, fence, seqnoOf(index));
    links.push({ node: previous, fence });
  }
  return { domain, clock, links, nodes: links.map(({ node }) => node), tail: last(links).node };
}

function last<T>(list: readonly T[]): T {
  const item = list.at(-1);
  if (item === undefined) throw new Error("the list is empty");
  return item;
}

const EINVAL = expect.objectContaining({ code: "ARGUMENT_INVALID", errno: "EINVAL" });

describe("st-dma-fence-chain", () => {
  it("sanitycheck: one link", () => {
    const { tail, links } = fenceChain(1);
    tail.enableSignaling();

    links[0]?.fence.signal();

    expect(tail.isSignaled).toBe(true);
    expect([tail.driverName, tail.timelineName]).toEqual(["dma_fence_chain", "unbound"]);
  });

  it("find_seqno: each seqno is found from the tail, and from each node itself and the one before", () => {
    const { nodes, tail } = fenceChain(NODES);
    expect(findSeqno(tail, 0)).toBe(tail);

    nodes.forEach((node, index) => {
      expect(findSeqno(tail, index + 1)).toBe(node);
      expect(findSeqno(node, index + 1)).toBe(node);
      expect(() => findSeqno(node, index + 2)).toThrow(EINVAL);
      if (index > 0) expect(findSeqno(node, index)).toBe(nodes[index - 1]);
    });
  });

  it("find_signaled: a signaled seqno gives none or its node", () => {
    const { nodes, links, tail } = fenceChain(2);
    links[0]?.fence.signal();

    expect([undefined, nodes[0]]).toContain(findSeqno(tail, 1));
  });

  it("find_out_of_order: with the middle of three signaled, finding it gives the first", () => {
    const { nodes, links, tail } = fenceChain(3);
    links[1]?.fence.signal();

    expect(findSeqno(tail, 2)).toBe(nodes[0]);
  });

  it("find_gap: with every second seqno missing, both of a pair give the node that covers them", () => {
    const { nodes, tail } = fenceChain(NODES, (index) => 2 * index + 2);

    nodes.forEach((node, index) => {
      expect(findSeqno(tail, 2 * index + 1)).toBe(node);
      expect(findSeqno(tail, 2 * index + 2)).toBe(node);
    });
  });

  it("find_race: whatever is found while others signal covers the seqno asked for", async () => {
    const { links, tail } = fenceChain(NODES);
    const random = randomFrom(1);
    const finder = async (): Promise<void> => {
      for (let round = 0; round < 300; round++) {
        const seqno = 1 + random(NODES);
        const found = findSeqno(tail, seqno);
        const open = links.slice(0, seqno).filter(({ fence }) => !fence.isSignaled);
        const expected = seqno === NODES ? tail : open.at(-1)?.node;
        expect(found).toBe(expected);
        await undefined;
      }
    };
    const signaler = async (): Promise<void> => {
      while (links.some(({ fence }) => !fence.isSignaled)) {
        links[random(NODES)]?.fence.signal();
        await undefined;
      }
    };

    await Promise.all([finder(), finder(), signaler()]);

    expect(findSeqno(tail, NODES)).toBe(tail);
    expect(findSeqno(tail, 1)).toBeUndefined();
  });

  it("signal_forward: signaling the fences in order signals the nodes one by one", () => {
    const { links, nodes } = fenceChain(NODES);
    for (const node of nodes) node.enableSignaling();

    links.forEach(({ node, fence }, index) => {
      expect(node.isSignaled).toBe(false);
      fence.signal();
      expect(node.isSignaled).toBe(true);
      expect(nodes[index + 1]?.isSignaled ?? false).toBe(false);
    });
  });

  it("signal_backward: from the end, no node signals until the first fence does, then all", () => {
    const { links, nodes } = fenceChain(NODES);
    for (const node of nodes) node.enableSignaling();

    for (const { fence } of links.slice(1).reverse()) {
      fence.signal();
      expect(nodes.some((node) => node.isSignaled)).toBe(false);
    }
    links[0]?.fence.signal();

    expect(nodes.every((node) => node.isSignaled)).toBe(true);
  });

  const orders: [string, (links: Link[]) => Link[]][] = [
    ["wait_forward", (links) => links],
    ["wait_backward", (links) => links.reverse()],
    ["wait_random", (links) => shuffled(links)],
  ];
  for (const [name, order] of orders) {
    it(`${name}: a waiter on the tail wakes with the last signal and not before`, async () => {
      const { links, tail } = fenceChain(NODES);
      let isAwake = false;
      const waiter = tail.signaled().then(() => {
        isAwake = true;
      });
      const sequence = order([...links]);
      for (const { fence } of sequence.slice(0, -1)) fence.signal();
      await settleTasks();
      expect(isAwake).toBe(false);

      last(sequence).fence.signal();
      await waiter;

      expect(isAwake).toBe(true);
    });
  }
});

function shuffled<T>(list: T[]): T[] {
  const random = randomFrom(7);
  for (let index = list.length - 1; index > 0; index--) {
    const other = random(index + 1);
    [list[index], list[other]] = [list[other] as T, list[index] as T];
  }
  return list;
}

describe("fence chain", () => {
  it("stays on its timeline while seqnos rise, and remembers the previous one", () => {
    const { nodes, tail } = fenceChain(2);

    expect(nodes[0]?.context).toBe(tail.context);
    expect([nodes[0]?.previousSeqno, tail.previousSeqno]).toEqual([0, 1]);
    expect(tail.context.seqnoBits).toBe(64);
  });

  it("a jump back begins a new timeline and does not lower the seqno", () => {
    const { nodes, tail } = fenceChain(2, (index) => (index === 0 ? 9 : 4));

    expect([tail.seqno, tail.previousSeqno]).toEqual([9, 0]);
    expect(tail.context).not.toBe(nodes[0]?.context);
  });

  it("finding stops where the timeline changes, for seqnos before mean something else there", () => {
    const seqnos = [6, 9, 4, 10];
    const { nodes, links, tail } = fenceChain(4, (index) => seqnos[index] ?? 0);
    expect(findSeqno(tail, 5)).toBe(nodes[2]);

    links[2]?.fence.signal(); // Its node leaves the chain: the older timeline has to be done first.

    expect(findSeqno(tail, 5)).toBe(nodes[1]);
  });

  it("may begin behind a fence that is no chain, and waits for it", () => {
    const { domain, links } = fenceChain(1);
    const [first] = links;
    const other = new SoftwareFence(
      domain.createContext({ driverName: "d", timelineName: "t" }),
      5,
    );
    const node = new FenceChain(first?.fence, other, 3);
    node.enableSignaling();

    other.signal();
    expect(node.isSignaled).toBe(false);
    first?.fence.signal();

    expect(node.isSignaled).toBe(true);
  });

  it("walking drops links that are done", () => {
    const { links, nodes, tail } = fenceChain(4);
    links[1]?.fence.signal();
    links[2]?.fence.signal();
    expect([...chainLinks(tail)]).toEqual([tail, nodes[0]]);

    links[0]?.fence.signal();

    expect([...chainLinks(tail)]).toEqual([tail]);
    expect(tail.walk()).toBeUndefined();
  });

  it("does not carry errors of the fences in it", () => {
    const { links, tail } = fenceChain(1);
    tail.enableSignaling();
    links[0]?.fence.setError(new FenceError("EIO", "failed"));

    links[0]?.fence.signal();

    expect(tail.status).toBe(1);
  });

  it("forwards a deadline to every fence in it", () => {
    const { links, tail } = fenceChain(3);

    tail.setDeadline(40);

    expect(links.map(({ fence }) => fence.deadlineNs)).toEqual([40, 40, 40]);
  });

  it("may contain an array and never a chain", () => {
    const { domain, links, tail } = fenceChain(1);
    const array = new FenceArray(
      domain,
      links.map(({ fence }): Fence => fence),
    );
    const node = new FenceChain(tail, array, 2);

    expect(containedFence(node)).toBe(array);
    expect(() => new FenceChain(undefined, tail, 2)).toThrow(
      expect.objectContaining({ code: "FENCE_IS_CONTAINER" }),
    );
  });

  it("is no chain to search when the fence is a plain one", () => {
    const { links } = fenceChain(1);

    expect(() => links[0] && findSeqno(links[0].fence, 1)).toThrow(EINVAL);
  });

  it("signals right after the callbacks of its fence, not among them", () => {
    const { links, tail } = fenceChain(1);
    const seen: string[] = [];
    tail.addCallback(() => seen.push("chain"));
    links[0]?.fence.addCallback(() => seen.push("fence"));

    links[0]?.fence.signal();

    expect(seen).toEqual(["fence", "chain"]);
  });

  it("a pipeline of 100,000 nodes, each starting the next, needs no deep stack", () => {
    const { links, tail } = fenceChain(100_000);
    links.forEach(({ node }, index) => {
      node.addCallback(() => void links[index + 1]?.fence.signal());
    });

    links[0]?.fence.signal();

    expect(tail.isSignaled).toBe(true);
  });
});
