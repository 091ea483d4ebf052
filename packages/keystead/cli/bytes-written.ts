/** Not a failure: the bytes are written, and the command ends here until their signature is there. */
export class BytesWritten extends Error {
  override readonly name = 'BytesWritten';
  readonly path: string;

  constructor(path: string, text: string) {
    super(text);
    this.path = path;
  }

  /** What the command prints. */
  print(json: boolean): string {
    return json ? `${JSON.stringify({ bytesOut: this.path })}\n` : this.message;
  }
}
