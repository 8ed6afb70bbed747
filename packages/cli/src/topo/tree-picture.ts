/**
 * Tree picture: the machine tree as SVG, with the ways of peer traffic in colour.
 *
 * Plain text elements and paths only, so that any viewer shows it; colours are told in a legend. The
 * colour of a link is the best verdict of the chosen pairs that use it.
 */
import { InputError, type PathType } from "@peerbuf/core";
import { edgeTypes } from "./edge-types.ts";
import type { TreeNode } from "./machine-tree.ts";
import { LAYOUT, layOut, type PictureLayout, type PlacedNode } from "./picture-layout.ts";
import { label, tag, twoToned } from "./svg-tag.ts";
import { textWidth } from "./text-width.ts";
import type { TreeView } from "./tree-text.ts";

const INK = "#1c2530";
const FAINT = "#66717e";
const LINE = "#c3cbd4";
const FONT = "Inter, 'Helvetica Neue', Arial, sans-serif";

interface Stroke {
  readonly color: string;
  readonly width: number;
  readonly dash?: string;
}

const STROKES: Readonly<Record<PathType, Stroke>> = {
  "bus-addr": { color: "#159957", width: 4 },
  "host-bridge": { color: "#e0a100", width: 4 },
  unsupported: { color: "#d6455d", width: 1.8, dash: "5 4" },
  unknown: { color: "#8a94a0", width: 1.8, dash: "1.5 4" },
};
const UNUSED: Stroke = { color: LINE, width: 1.5 };

/** Badges of groups in turn; none looks like one of the strokes. */
const GROUP_FILLS: readonly string[] = [
  "#2767c9",
  "#8a46c4",
  "#0f8b98",
  "#a8386f",
  "#4b5bbf",
  "#7a5c3e",
  "#3b6e8f",
  "#6b4d8a",
];

/** Rows of nodes in one picture, at most: above, nobody could read it. */
const DEVICES_MAX = 500;

/** @throws InputError for more devices than a picture can show */
export function requireDrawable({ topology, rows, root }: TreeView): void {
  const count = leafCount(root);
  if (count > DEVICES_MAX || rows.length === 0) {
    throw new InputError({
      source: topology.facts.source,
      cause:
        rows.length === 0
          ? "there is no device to draw"
          : `${count} devices are too many for a picture, at most ${DEVICES_MAX} can be drawn`,
      remedy: "Choose some with --between; without --svg and --png the tree is text",
    });
  }
}

const leafCount = ({ children }: TreeNode): number =>
  children.length === 0
    ? 1
    : children.reduce((count: number, child: TreeNode) => count + leafCount(child), 0);

/** @param title who and by whose rules, in two lines */
export function treePicture(view: TreeView, title: readonly [string, string]): string {
  const layout = layOut(view);
  const { width, height } = layout;
  const types = edgeTypes(view.topology, view.rows, view.groups);
  const parts = [
    tag("rect", { width, height, fill: "#ffffff" }),
    ...head(title, width),
    ...layout.nodes.flatMap((placed) => band(placed, layout)),
    ...layout.nodes.filter(hasLink).map((placed) => link(placed, types)),
    ...layout.nodes.flatMap((placed) => box(placed, view)),
    ...legend(layout),
  ];
  const attributes = `xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(width)}" height="${Math.ceil(height)}" viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}" font-family="${FONT}"`;
  return `<svg ${attributes}>\n${parts.join("\n")}\n</svg>\n`;
}

const TITLE_SIZE = 24;

const head = ([first, second]: readonly [string, string], width: number): string[] => [
  label(titleText(first, width - LAYOUT.MARGIN * 2), {
    x: LAYOUT.MARGIN,
    y: 52,
    "font-size": TITLE_SIZE,
    "font-weight": 600,
    fill: INK,
  }),
  label(second, { x: LAYOUT.MARGIN, y: 78, "font-size": 13.5, fill: FAINT }),
];

/** Of a long path the end says more than the beginning. */
function titleText(text: string, widthPx: number): string {
  let kept = text;
  while (kept !== "" && textWidth(kept, TITLE_SIZE) > widthPx) {
    kept = kept.slice(1);
  }
  return kept === text ? text : `…${kept.slice(1)}`;
}

/** The soft ground below everything of one NUMA node. */
function band({ node, top, bottom }: PlacedNode, layout: PictureLayout): string[] {
  if (node.kind !== "numa") {
    return [];
  }
  const half = LAYOUT.ROW / 2 + 1;
  const place = { x: LAYOUT.MARGIN - 12, y: top - half, rx: 14 };
  const size = { width: layout.width - LAYOUT.MARGIN * 2 + 24, height: bottom - top + half * 2 };
  return [tag("rect", { ...place, ...size, fill: "#f3f6f9" })];
}

const hasLink = ({ parent, node }: PlacedNode): boolean =>
  parent !== undefined || node.kind === "root-bus";

/** From the parent's right edge to the node's left one, with round corners. */
function link(placed: PlacedNode, types: ReadonlyMap<number, PathType>): string {
  const { parent, node, x, y } = placed;
  const type = "row" in node ? types.get(node.row) : undefined;
  const { color, width, dash } = type === undefined ? UNUSED : STROKES[type];
  const stroke = {
    fill: "none",
    stroke: color,
    "stroke-width": width,
    ...(dash !== undefined && { "stroke-dasharray": dash }),
  };
  const from = parent === undefined ? x : parent.x + parent.width;
  const fromY = parent?.y ?? y;
  const turn = from + LAYOUT.COLUMN_GAP / 2;
  const radius = Math.min(10, Math.abs(y - fromY) / 2);
  const sign = Math.sign(y - fromY);
  const way =
    radius < 0.5
      ? `M${from} ${fromY}H${x}`
      : `M${from} ${fromY}H${turn - radius}Q${turn} ${fromY} ${turn} ${fromY + sign * radius}V${y - sign * radius}Q${turn} ${y} ${turn + radius} ${y}H${x}`;
  return tag("path", { d: way, ...stroke });
}

function box(placed: PlacedNode, view: TreeView): string[] {
  if (placed.face.device !== undefined) {
    return deviceBox(placed, view);
  }
  const { face, x, y, width, node } = placed;
  const isRedirecting = face.acs?.state === "redirects";
  const isUnknown = face.acs?.state === "unknown";
  const border = isRedirecting ? "#d6455d" : isUnknown ? "#e0a100" : "#aab4bf";
  const acs = face.acs?.text ?? "";
  const facts = [face.detail, face.link?.now ?? ""].filter((text) => text !== "").join(" · ");
  const second = acs === "" ? facts : `${facts} · `;
  return [
    tag("rect", {
      x,
      y: y - LAYOUT.NODE / 2,
      width,
      height: LAYOUT.NODE,
      rx: node.kind === "bridge" ? 8 : 4,
      fill: isRedirecting ? "#fdf0f2" : node.kind === "bridge" ? "#ffffff" : "#e6ebf1",
      stroke: border,
      "stroke-width": isRedirecting ? 1.8 : 1.2,
    }),
    label(face.title, { x: x + 12, y: y - 2, "font-size": 13, "font-weight": 600, fill: INK }),
    twoToned(
      second,
      acs,
      { x: x + 12, y: y + 12, "font-size": 10.5, fill: FAINT },
      {
        "font-weight": isRedirecting ? 600 : 400,
        fill: isRedirecting ? "#b8263f" : isUnknown ? "#9a6d00" : FAINT,
      },
    ),
  ];
}

function deviceBox({ face, x, y, width }: PlacedNode, { groups }: TreeView): string[] {
  const group = face.device === undefined ? undefined : groups.groupByRow.get(face.device.row);
  const fill = group === undefined ? "#8a94a0" : groupFill(groups.groups.indexOf(group));
  const link = face.link;
  const best = link?.best === undefined ? "" : ` (of ${link.best})`;
  const linkText = `${link?.now ?? ""}${best}`;
  const badgeX = x + width + LAYOUT.BADGE_GAP;
  return [
    tag("rect", {
      x,
      y: y - LAYOUT.NODE / 2,
      width,
      height: LAYOUT.NODE,
      rx: 8,
      fill: "#ffffff",
      stroke: fill,
      "stroke-width": 1.6,
    }),
    tag("rect", { x, y: y - LAYOUT.NODE / 2, width: 6, height: LAYOUT.NODE, rx: 3, fill }),
    label(face.title, { x: x + 16, y: y - 2, "font-size": 13.5, "font-weight": 600, fill: INK }),
    label(face.bdf ?? "", {
      x: x + width - 12,
      y: y - 2,
      "font-size": 11,
      "text-anchor": "end",
      fill: FAINT,
    }),
    twoToned(
      shortened(
        face.detail,
        width - 40 - textWidth(linkText, 10.5) - textWidth(face.acs?.text ?? "", 11),
        11,
      ),
      face.acs === undefined ? "" : ` · ${face.acs.text}`,
      { x: x + 16, y: y + 12, "font-size": 11, fill: FAINT },
      { "font-weight": 600, fill: "#b8263f" },
    ),
    label(linkText, {
      x: x + width - 12,
      y: y + 12,
      "font-size": 10.5,
      "text-anchor": "end",
      fill: link?.isNarrow === true ? "#9a6d00" : FAINT,
    }),
    ...(group === undefined ? [] : badge(group.name, badgeX, y, fill)),
  ];
}

const groupFill = (index: number): string => GROUP_FILLS[index % GROUP_FILLS.length] as string;

const badge = (name: string, x: number, y: number, fill: string): string[] => [
  tag("circle", { cx: x + 14, cy: y, r: 14, fill }),
  label(name, {
    x: x + 14,
    y: y + 5,
    "font-size": 14,
    "font-weight": 600,
    "text-anchor": "middle",
    fill: "#ffffff",
  }),
];

function shortened(text: string, widthPx: number, sizePx: number): string {
  let kept = text;
  while (kept !== "" && textWidth(kept, sizePx) > widthPx) {
    kept = kept.slice(0, -1);
  }
  return kept === text ? text : `${kept.trimEnd()}…`;
}

const LEGEND: readonly (readonly [PathType, string])[] = [
  ["bus-addr", "peer to peer below the root complex"],
  ["host-bridge", "peer to peer through the root complex"],
  ["unsupported", "refused: through system memory"],
  ["unknown", "the capture does not say"],
];

function legend({ height }: PictureLayout): string[] {
  const y = height - 40;
  let x: number = LAYOUT.MARGIN;
  const parts: string[] = [];
  for (const [type, text] of LEGEND) {
    const { color, width, dash } = STROKES[type];
    parts.push(
      tag("path", {
        d: `M${x} ${y}h34`,
        stroke: color,
        "stroke-width": width,
        ...(dash !== undefined && { "stroke-dasharray": dash }),
      }),
      label(text, { x: x + 44, y: y + 4, "font-size": 12, fill: INK }),
    );
    x += 44 + textWidth(text, 12) + 26;
  }
  const note =
    "Same letter: these devices reach each other below one bridge. Red box: this port sends peer traffic up.";
  return [...parts, label(note, { x: LAYOUT.MARGIN, y: y + 26, "font-size": 12, fill: FAINT })];
}
