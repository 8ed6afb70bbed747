/**
 * Save file: writes a whole file or nothing.
 *
 * The bytes go to a new file beside the target, which then takes the target's name: nobody ever finds
 * half a file, whenever the process ends or the disk is full. A target that is no regular file (a pipe,
 * `/dev/stdout`) is written as it stands.
 */
import { lstatSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { InputError } from "@peerbuf/core";
import { OutputFailed } from "./io.ts";

/** @throws InputError where the place cannot be written, OutputFailed where the disk takes no more */
export function saveFile(path: string, content: string | Uint8Array): void {
  const target = lstatSync(path, { throwIfNoEntry: false });
  if (target?.isDirectory() === true) {
    throw new InputError({ source: path, cause: "this is a folder", remedy: "Name a file in it" });
  }
  const isInPlace = target !== undefined && !target.isFile();
  try {
    if (isInPlace) {
      writeFileSync(path, content);
    } else {
      replaceFile(path, content);
    }
  } catch (error) {
    throw asTold(path, error as NodeJS.ErrnoException);
  }
}

function replaceFile(path: string, content: string | Uint8Array): void {
  const beside = `${path}.${process.pid}.part`;
  try {
    writeFileSync(beside, content, { flag: "wx" });
    renameSync(beside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      rmSync(beside, { force: true });
    }
    throw error;
  }
}

function asTold(path: string, error: NodeJS.ErrnoException): Error {
  if (error.code === "ENOSPC" || error.code === "EDQUOT" || error.code === "EIO") {
    return new OutputFailed(`${path} could not be written (${error.message})`);
  }
  return new InputError(
    {
      source: path,
      cause: `it cannot be written (${error.message})`,
      remedy: "Name a place that you may write",
    },
    { cause: error },
  );
}
