/** What the decorators `@Type` and `@Transform` of class-transformer have noted; its index does not export it. */
declare module 'class-transformer/cjs/storage.js' {
  export const defaultMetadataStorage: {
    findTypeMetadata(target: object, property: string): { typeFunction: () => unknown } | undefined;
    /** `kind` 0 is PLAIN_TO_CLASS. */
    findTransformMetadatas(
      target: object,
      property: string,
      kind: 0,
    ): { transformFn: (parameters: { key: string; value: unknown; obj: unknown }) => unknown }[];
  };
}
