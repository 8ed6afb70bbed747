/**
 * Live region: a registered buffer, from attach to deregistration.
 *
 * The flavour decides what the exporter is told at attach, and what is left after the memory was taken
 * away: nothing (`revocable`), or a region whose next access fetches the memory again (`on-demand`).
 */
import {
  type Attachment,
  type Device,
  type DmaBuf,
  type Importer,
  PeerbufError,
  type Reason,
  reason,
} from "@peerbuf/core";
import type { Negotiated } from "../negotiated.ts";
import { lookAt, offerFor, type PeerOptions } from "../peer-policy.ts";
import type { Nic } from "./nic.ts";
import {
  accessFlags,
  type RdmaFlavour,
  type RdmaRegion,
  type RdmaRegistration,
  revokedError,
} from "./region.ts";
import { ACCESS, COMMAND } from "./registers.ts";
import { Translation } from "./translation.ts";

export interface RegionParts {
  readonly nic: Nic;
  readonly device: Device;
  readonly policy: PeerOptions;
}

export class LiveRegion implements RdmaRegion {
  readonly flavour: RdmaFlavour;
  readonly #nic: Nic;
  readonly #attachment: Attachment;
  readonly #access: number;
  readonly #gone: () => void;
  /** Since the NIC gave a key. */
  #held: { readonly key: number; readonly translation: Translation } | undefined;
  #revoked: Reason | undefined;
  #isOpen = true;

  /** Attaches. `start` must follow; `gone` is called when it is over. */
  constructor(
    { nic, device, policy }: RegionParts,
    buffer: DmaBuf,
    wanted: RdmaRegistration,
    gone: (region: LiveRegion) => void,
  ) {
    this.#nic = nic;
    this.#access = accessFlags(wanted);
    this.#gone = () => gone(this);
    this.flavour = wanted.flavour ?? "pinned";
    this.#attachment = buffer.attach({
      name: "rdma",
      device,
      offer: () => offerFor(policy, device.limits),
      take: (proposal) => lookAt(policy, proposal),
      ...this.#answers(),
    });
  }

  /** Of a region that is started. */
  get key(): number {
    return this.#held?.key ?? 0;
  }

  get sizeBytes(): number {
    return this.#attachment.buffer.sizeBytes;
  }

  get negotiated(): Negotiated {
    return this.mappings.at(-1) as Negotiated;
  }

  get mappings(): readonly Negotiated[] {
    return this.#held?.translation.given ?? [];
  }

  get revoked(): Reason | undefined {
    return this.#revoked;
  }

  get pageError(): PeerbufError | undefined {
    return this.#held?.translation.pageError;
  }

  /** Registers in a protection domain, and maps; lets go of everything if it throws. */
  async start(domainOf: () => Promise<number>): Promise<void> {
    try {
      const domain = await domainOf();
      const { sizeBytes } = this;
      const fields = { lengthBytes: sizeBytes, access: this.#access, domain };
      const opcode = COMMAND.REGISTER_REGION;
      const key = await this.#nic.command({ opcode, ...fields }, "registering memory");
      const translation = this.#translationOf(key);
      this.#held = { key, translation };
      await translation.fill();
    } catch (error) {
      await this.deregister();
      throw error;
    }
  }

  async deregister(): Promise<void> {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    try {
      if (this.#nic.isRunning && this.#held !== undefined) {
        const what = `deregistering key ${this.key}`;
        await this.#nic.command({ opcode: COMMAND.DEREGISTER_REGION, handle: this.key }, what);
      }
    } finally {
      this.letGo();
    }
  }

  /** For a NIC that is stopped and has forgotten the key, or was told to. */
  letGo(): void {
    this.#isOpen = false;
    this.#held?.translation.close();
    this.#attachment[Symbol.dispose]();
    this.#gone();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.deregister();
  }

  #translationOf(key: number): Translation {
    const writes = (this.#access & ACCESS.LOCAL_WRITE) !== 0;
    return new Translation({
      nic: this.#nic,
      key,
      attachment: this.#attachment,
      direction: writes ? "bidirectional" : "to-device",
      requireUsable: () => this.#requireUsable(),
    });
  }

  #answers(): Partial<Importer> {
    switch (this.flavour) {
      case "pinned":
        return {};
      case "revocable":
        return { pins: true, invalidateMappings: () => this.#revoke() };
      case "on-demand":
        return { invalidateMappings: () => this.#held?.translation.invalidate() };
    }
  }

  /** It is pinned, so it does not move: to be told means that it is over. */
  #revoke(): void {
    this.#revoked ??= revocationOf(this.#attachment);
    this.#held?.translation.invalidate();
  }

  #requireUsable(): void {
    if (this.#revoked !== undefined) {
      throw revokedError(this.#attachment.buffer.name, this.#revoked);
    }
    if (!this.#isOpen) {
      throw new PeerbufError("DEVICE_GONE", `${this.#nic.label} is closed`);
    }
  }
}

function revocationOf({ decisions }: Attachment): Reason {
  const told = decisions.findLast(({ stage }) => stage === "revoke");
  return told?.reason ?? reason("REVOKED", "its memory was taken away");
}
