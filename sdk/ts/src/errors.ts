/** What a promise of this client is rejected with, or a wrong call throws. */
export class LychgateError extends Error {
  // Declared, so that no field is written twice.
  declare readonly code: string;
  declare readonly retryIn: number | undefined;
  override readonly name = 'LychgateError';

  /**
   * @param code a word of docs/protocol.md, rule 13, or one of ours: `closed`, `lost`
   * @param retryIn milliseconds to wait before trying again, where waiting helps
   */
  constructor(code: string, message: string, retryIn?: number) {
    super(message);
    this.code = code;
    this.retryIn = retryIn;
  }
}
