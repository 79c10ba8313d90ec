// Booleans as the kernel's nodes and parameters take them. Only the first one or two characters count;
// words that merely begin like a boolean are accepted, as in the kernel.

/**
 * True or false, undefined for anything else.
 * @kernel lib/kstrtox.c kstrtobool()
 */
export function kstrtobool(text: string): boolean | undefined {
  switch (text[0]) {
    case 'y':
    case 'Y':
    case 't':
    case 'T':
    case '1':
      return true;
    case 'n':
    case 'N':
    case 'f':
    case 'F':
    case '0':
      return false;
    case 'o':
    case 'O':
      if (text[1] === 'n' || text[1] === 'N') return true;
      return text[1] === 'f' || text[1] === 'F' ? false : undefined;
    default:
      return undefined;
  }
}
