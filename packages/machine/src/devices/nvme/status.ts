/**
 * NVMe status codes the modelled controller can answer (NVMe 1.4 figures 126 to 129).
 *
 * A status is the status code type in bits 10:8 and the status code in bits 7:0, as in bits 27:17
 * of the last word of a completion.
 */
export const STATUS = {
  SUCCESS: 0x000,
  INVALID_OPCODE: 0x001,
  INVALID_FIELD: 0x002,
  DATA_TRANSFER_ERROR: 0x004,
  INVALID_NAMESPACE: 0x00b,
  INVALID_PRP_OFFSET: 0x013,
  LBA_OUT_OF_RANGE: 0x080,
  COMPLETION_QUEUE_INVALID: 0x100,
  INVALID_QUEUE_IDENTIFIER: 0x101,
  INVALID_QUEUE_SIZE: 0x102,
  INVALID_INTERRUPT_VECTOR: 0x108,
  INVALID_QUEUE_DELETION: 0x10c,
} as const;

export type Status = (typeof STATUS)[keyof typeof STATUS];
