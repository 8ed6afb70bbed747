/**
 * Short name: a vendor and a device as people call them, from the long names of the PCI id list.
 *
 * `NVIDIA Corporation` and `AD102GL [RTX 6000 Ada Generation]` become `NVIDIA` and `RTX 6000 Ada`. By rules and
 * not by a table of products: what a rule leaves over is the list's own words, never a guess.
 */

/** Characters of a short device name, at most; a longer one ends at a word. */
const DEVICE_CHARS_MAX = 36;
/** Product names that share one id are shown together up to this length, else the chip is named. */
const SHARED_CHARS_MAX = 24;

const COMPANY =
  /[\s,]+(?:Corporation|Corp\.?|Incorporated|Inc\.?|Co\.?|Company|Ltd\.?|Limited|LLC|L\.?P\.?|GmbH|AG|S\.?A\.?|PLC|B\.?V\.?|Technology|Technologies|Electronics|Semiconductor|Systems?|Communications|Group|and subsidiaries)$/i;

/** `Western Digital Technologies, Inc. [WD]` as `Western Digital`. */
export function shortVendor(long: string): string {
  let name = long.replace(/\s*[[(].*$/, "").trim();
  for (let rest = name.replace(COMPANY, ""); rest !== name; rest = name.replace(COMPANY, "")) {
    if (rest.trim() === "") {
      break;
    }
    name = rest;
  }
  return name === "" ? long.trim() : name;
}

/** Vendor and device of one text, cut behind what ends a company's name; undefined without such an end. */
export function splitAtCompany(
  text: string,
): { readonly vendor: string; readonly device: string } | undefined {
  const end = /^(.+?[ ,](?:Inc|Corp|Corporation|Ltd|Limited|LLC|GmbH|AG|PLC)\.?)\s+(\S.*)$/.exec(
    text,
  );
  const [, vendor = "", device = ""] = end ?? [];
  return end === null ? undefined : { vendor: shortVendor(vendor), device };
}

/** Words that say what every device of its class is, in the order in which they are taken off. */
const NOISE: readonly RegExp[] = [
  /\s*\([^()]*\)/g,
  /,.*$/,
  /\s+for\s+.*$/,
  /\s+\d+-(?:lane|port).*$/i,
  /\s+\d+(?:\.\d+)?Gb(?:E|ase-T)?(?:\/\d+(?:\.\d+)?Gb(?:E|ase-T)?)*\b/g,
  /^(?:NVMe )?SSD Controller\s+/i,
  /^(?:DC |Datacenter )?NVMe (?:Datacenter )?(?:SSD )?(?=\S)/i,
  /^SSD\s+/,
  /^(?:Ethernet|Network) (?:Controller|Adapter)\s+/i,
  /\s+(?:(?:Gigabit|RDMA|Fast|Unified Wire|Network|Ethernet)\s+)*(?:Ethernet|Network|Ethernet Controller|Network Connection|Network Adapter|Ethernet Adapter)$/i,
  /\s+(?:NVMe )?(?:SSD|PCIe SSD)$/i,
  /\s+(?:RAID )?Controller$/i,
  /\s+(?:Family|Generation|Series)$/i,
];

/** `MT2910 Family [ConnectX-7]` as `ConnectX-7`. @param vendor the short name, not said twice */
export function shortDevice(long: string, vendor: string): string {
  const name = withoutNoise(productOf(long));
  const isDoubled = name.toLowerCase().startsWith(`${vendor.toLowerCase()} `);
  return shortened(isDoubled ? name.slice(vendor.length + 1) : name);
}

/** What stands in brackets, when it is a product: it has a number in it, and is one or few. */
function productOf(long: string): string {
  const match = /^(.*?)\s*\[([^[\]]*)\]\s*$/.exec(long.trim());
  if (match === null) {
    return long.trim();
  }
  const [, chip = "", words = ""] = match;
  const product = words
    .replace(/\s+(?:Generation|Series)$/, "")
    .replace(/\s+(?:Max-Q \/ Mobile|Mobile \/ Max-Q)$/, " Mobile")
    .trim();
  const isShared = product.includes("/") && product.length > SHARED_CHARS_MAX;
  if (/\d/.test(product) && !product.includes(",") && !isShared) {
    return product;
  }
  return /\d/.test(product) || chip === "" ? chip || product : `${chip} ${product}`;
}

function withoutNoise(name: string): string {
  let rest = name;
  for (const noise of NOISE) {
    const shorter = rest.replace(noise, "").trim();
    rest = shorter === "" ? rest : shorter;
  }
  return rest;
}

function shortened(name: string): string {
  if (name.length <= DEVICE_CHARS_MAX) {
    return name;
  }
  const end = name.lastIndexOf(" ", DEVICE_CHARS_MAX);
  return name.slice(0, end > 0 ? end : DEVICE_CHARS_MAX);
}
