/** The version of this engine, as package.json has it; the bundle carries the file inside. */
import manifest from '../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;
