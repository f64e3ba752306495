// A real Backstage backend: the catalog and one reader of the feed, and with PORTAL=true what pages for a browser need.
// READER chooses the reader; everything else is in the configuration files given with --config.
import { createBackend } from '@backstage/backend-defaults';

const ENTITY_PROVIDER = '@red-hat-developer-hub/backstage-plugin-catalog-backend-module-model-catalog';
const ENTITY_MODEL = '@red-hat-developer-hub/backstage-plugin-catalog-backend-module-ai-model-server';
const CARD_READER = '@red-hat-developer-hub/backstage-plugin-catalog-techdoc-url-reader-backend';

const secondGeneration = [ENTITY_PROVIDER, ENTITY_MODEL, CARD_READER];
const readers = {
  'first-generation': ['./first-generation.js', './first-generation-cards.js'],
  'second-generation': secondGeneration,
  'second-generation-and-plain': secondGeneration,
  'plain': [],
};

const portal = [
  '@backstage/plugin-app-backend',
  '@backstage/plugin-auth-backend',
  '@backstage/plugin-auth-backend-module-guest-provider',
  '@backstage/plugin-scaffolder-backend',
  '@backstage/plugin-search-backend',
  '@backstage/plugin-search-backend-module-catalog',
  '@backstage/plugin-search-backend-module-techdocs',
  '@backstage/plugin-techdocs-backend',
];

const reader = readers[process.env.READER];
if (!reader) {
  console.error(`READER must be one of ${Object.keys(readers).join(', ')}, not ${process.env.READER}`);
  process.exit(2);
}

const backend = createBackend();
backend.add(import('@backstage/plugin-catalog-backend'));
backend.add(import('./cards.js'));
backend.add(import('./verdicts.js'));
const features = process.env.PORTAL === 'true' ? [...reader, ...portal] : reader;
features.forEach(feature => backend.add(import(feature)));
await backend.start();
