/** Version: stated here because reading package.json at every start costs more than keeping them equal; a test does. */
export const VERSION = "0.1.0";
