/**
 * Boot loader: the exact text that puts a parameter on the kernel command line, for each usual loader.
 *
 * GRUB reads its generated configuration as a script in which an unquoted `;` ends the command, so a
 * list must arrive there as `\;` or the kernel sees its first entry only (seen with GRUB 2.06). The file
 * /etc/default/grub is a shell script in which `\;` inside double quotes stays as it is. Loaders that follow
 * the Boot Loader Specification pass the text of an entry on; where GRUB reads those entries (grubby
 * systems), it runs them as a script as well.
 */
import type { FixStep } from "./fix.ts";

const CHECK = "after the boot, cat /proc/cmdline must show the whole list";

/** @param word as the kernel is to see it, e.g. `pci=disable_acs_redir=0000:12:00.0;0000:12:03.0` */
export function bootSteps(word: string): FixStep[] {
  const escaped = word.replaceAll(";", "\\;");
  const note = word.includes(";") ? { note: CHECK } : {};
  return [
    {
      by: "grub",
      where: "/etc/default/grub, as its last line; then the command",
      lines: [
        `GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${escaped}"`,
        "update-grub  # where there is none: grub2-mkconfig -o /boot/grub2/grub.cfg",
      ],
      lasts: "permanent",
      ...note,
    },
    {
      by: "grubby",
      where: "a root shell",
      lines: [`grubby --update-kernel=ALL --args='${escaped}'`],
      lasts: "permanent",
      ...note,
    },
    {
      by: "systemd-boot",
      where: "/etc/kernel/cmdline, at the end of its line; then the command",
      lines: [word, 'kernel-install add "$(uname -r)" "/lib/modules/$(uname -r)/vmlinuz"'],
      lasts: "permanent",
      ...note,
    },
  ];
}
