// GET /api/cards/{kind}/{namespace}/{name}: the model card of an entity, read as the TechDocs backend reads it, i.e. from
// the entity's annotation backstage.io/techdocs-ref through the URL readers of this backend. Answers the directory
// that mkdocs can build, the page in it, and its etag; 304 when the query names that etag already.
//
// The connector gives its cards addresses at localhost:9090, where it listens in a pod; `cards.pod` says where it does
// here.
import { coreServices, createBackendPlugin } from '@backstage/backend-plugin-api';
import { NotFoundError } from '@backstage/errors';
import { catalogServiceRef } from '@backstage/plugin-catalog-node';
import Router from 'express-promise-router';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export default createBackendPlugin({
  pluginId: 'cards',
  register(env) {
    env.registerInit({
      deps: {
        catalog: catalogServiceRef,
        config: coreServices.rootConfig,
        httpAuth: coreServices.httpAuth,
        httpRouter: coreServices.httpRouter,
        urlReader: coreServices.urlReader,
      },
      async init({ catalog, config, httpAuth, httpRouter, urlReader }) {
        const pod = config.get('cards.pod');
        const router = Router();
        router.get('/:kind/:namespace/:name', async (request, response) => {
          const credentials = await httpAuth.credentials(request);
          const entity = await catalog.getEntityByRef(request.params, { credentials });
          const reference = entity?.metadata.annotations?.['backstage.io/techdocs-ref'];
          if (!reference) throw new NotFoundError('no such entity, or it has no backstage.io/techdocs-ref');
          const url = reference.replace(/^url:/, '').replace(pod.from, pod.to);
          const tree = await urlReader.readTree(url, { etag: request.query.etag });
          const directory = await tree.dir();
          const page = await readFile(join(directory, 'docs', 'index.md'), 'utf8');
          response.json({ reference, directory, page, etag: tree.etag });
        });
        httpRouter.use(router);
      },
    });
  },
});
