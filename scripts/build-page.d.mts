/** Whether web/dist is there and not older than web/src. */
export declare const isPageBuilt: () => boolean;
/** Builds the page; returns the bytes of each file. */
export declare const buildPage: () => Promise<Map<string, Uint8Array>>;
