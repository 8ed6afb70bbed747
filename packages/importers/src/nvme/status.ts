/**
 * NVMe status codes in words (NVMe 1.4 figures 126 to 129).
 *
 * A status is the status code type in bits 10:8 and the status code in bits 7:0.
 */
const TEXT: Readonly<Record<number, string>> = {
  1: "Invalid Command Opcode",
  2: "Invalid Field in Command",
  3: "Command ID Conflict",
  4: "Data Transfer Error",
  6: "Internal Error",
  7: "Command Abort Requested",
  11: "Invalid Namespace or Format",
  12: "Command Sequence Error",
  13: "Invalid SGL Segment Descriptor",
  14: "Invalid Number of SGL Descriptors",
  15: "Data SGL Length Invalid",
  17: "SGL Descriptor Type Invalid",
  19: "PRP Offset Invalid",
  128: "LBA Out of Range",
  130: "Namespace Not Ready",
  256: "Completion Queue Invalid",
  257: "Invalid Queue Identifier",
  258: "Invalid Queue Size",
  264: "Invalid Interrupt Vector",
  640: "Write Fault",
  641: "Unrecovered Read Error",
};

/** No status of a controller: it did not answer in time, or was stopped. */
export const NO_ANSWER = -1;

export function describeStatus(status: number): string {
  if (status === NO_ANSWER) {
    return "the controller did not answer";
  }
  const text = TEXT[status] ?? "a status without a name here";
  return `${text} (${status.toString(16).padStart(3, "0")}h)`;
}
