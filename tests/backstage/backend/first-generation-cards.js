// The reader of model cards of the first plugin generation, written from its contract: it takes the URLs below
// {baseUrl}/modelcard, asks for them without credentials and without validators, and lays the answer out as the one
// page of a TechDocs site. `cards.pod` says where the connector is here, which is at localhost:9090 in a pod.
import { ReadUrlResponseFactory, urlReaderFactoriesServiceRef } from '@backstage/backend-defaults/urlReader';
import { createServiceFactory } from '@backstage/backend-plugin-api';
import { NotFoundError, NotModifiedError } from '@backstage/errors';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

async function readCard(url, signal) {
  const response = await fetch(url, { signal });
  if (response.ok) return ReadUrlResponseFactory.fromResponse(response);
  if (response.status === 404) throw new NotFoundError(`${url} answered 404`);
  if (response.status === 304) throw new NotModifiedError(`${url} answered 304`);
  throw new Error(`${url} answered ${response.status} ${response.statusText}`);
}

async function layOut(card, targetDir) {
  const directory = targetDir ?? (await mkdtemp(join(tmpdir(), 'model-card-')));
  await mkdir(join(directory, 'docs'), { recursive: true });
  await writeFile(join(directory, 'mkdocs.yml'), 'site_name: Model Card\nnav:\n  - Home: index.md\n');
  await writeFile(join(directory, 'docs', 'index.md'), card);
  return directory;
}

function cardReader(baseUrl, pod) {
  const base = new URL(baseUrl);
  const here = url => (pod ? url.replace(pod.from, pod.to) : url);
  const unsupported = name => async () => {
    throw new Error(`a model card cannot be read with ${name}`);
  };
  return {
    predicate: url => new URL(here(url.href)).host === base.host && url.pathname.startsWith('/modelcard'),
    reader: {
      readUrl: (url, options) => readCard(here(url), options?.signal),
      readTree: async (url, options) => {
        const card = await (await readCard(here(url), options?.signal)).buffer();
        return {
          etag: options?.etag ?? '',
          dir: dirOptions => layOut(card, dirOptions?.targetDir),
          files: unsupported('files'),
          archive: unsupported('archive'),
        };
      },
      search: unsupported('search'),
    },
  };
}

export default createServiceFactory({
  service: urlReaderFactoriesServiceRef,
  deps: {},
  factory: () => ({ config }) => {
    const providers = config.getConfig('catalog.providers.modelCatalog');
    const pod = config.getOptional('cards.pod');
    return providers.keys().map(id => cardReader(providers.getString(`${id}.baseUrl`), pod));
  },
});
