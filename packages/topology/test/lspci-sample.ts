/**
 * Lspci sample: a small listing in words, as `lspci -vvvnn` prints it for root, for tests to cut and change.
 */

/** A host bridge, and a root port that redirects. */
export const ROOT = `00:00.0 Host bridge [0600]: Intel Corporation Device [8086:3c00]

00:01.0 PCI bridge [0604]: Intel Corporation Root Port [8086:3c02] (prog-if 00 [Normal decode])
	Control: I/O+ Mem+
	Status: Cap+ 66MHz-
	Bus: primary=00, secondary=01, subordinate=02, sec-latency=0
	Capabilities: [90] Express (v2) Root Port (Slot+), MSI 00
	Capabilities: [110 v1] Access Control Services
		ACSCap:	SrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
		ACSCtl:	SrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-

`;
/** A NIC below the root port with two virtual functions switched on. */
export const NIC = `01:00.0 Ethernet controller [0200]: Intel Corporation X710 [8086:1572]
	Control: I/O- Mem+
	Status: Cap+ 66MHz-
	Region 0: Memory at 92000000 (64-bit, prefetchable) [size=8M]
	Capabilities: [a0] Express (v2) Endpoint, MSI 00
		LnkCap:	Port #0, Speed 8GT/s, Width x8, ASPM L0s L1
		LnkSta:	Speed 8GT/s (ok), Width x4 (downgraded)
	Capabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)
		IOVCap:	Migration- 10BitTagReq- IntMsgNum 0
		Initial VFs: 64, Total VFs: 64, Number of VFs: 2, Function Dependency Link: 00
		VF offset: 256, stride: 1, Device ID: 154c
		Region 0: Memory at 0000000092800000 (64-bit, prefetchable)
	Capabilities: [1a0 v1] Transaction Processing Hints
	Kernel driver in use: i40e
	Kernel modules: i40e

`;
/** Its virtual functions. */
export const VIRTUAL: readonly string[] = [0, 1].map(
  (fn) =>
    `02:00.${fn} Ethernet controller [0200]: Intel Corporation Virtual Function [8086:154c]\n\n`,
);
