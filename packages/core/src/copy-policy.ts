/**
 * Copy policy: may the exporter's engine copy through memory that an importer brings?
 *
 * `never`: such a target is declined; `allowed`: as the parties like; `required`: nothing else is
 * taken. A move is no copy: the buffer then lives in the new place and nowhere else.
 */
export type CopyPolicy = "never" | "allowed" | "required";
