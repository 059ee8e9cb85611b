/** A random UUID, of version 4. `crypto.randomUUID` is missing in pages that came over plain http. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(36));
  // Four random bits each; but two, behind the 8 that names the variant.
  return '00000000-0000-4000-8000-000000000000'.replace(/[08]/g, (digit, at) =>
    (+digit | ((bytes[at] ?? 0) & (15 >> (+digit / 4)))).toString(16),
  );
}
