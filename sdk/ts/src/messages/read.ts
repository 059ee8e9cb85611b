// Reading what came over the wire: fields that may be missing, or of a type that nobody promised.

export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function list(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

export function record(value: unknown): Record<string, unknown> | undefined {
  // The cast says no more than the test before it: an object that is no array has fields of any kind.
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
