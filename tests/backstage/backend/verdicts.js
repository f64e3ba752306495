// GET /api/verdicts: what the catalog's processing has refused so far, in its validators' own words. The catalog tells
// this no one but its event bus: an entity that was never good simply does not appear.
import { coreServices, createBackendPlugin } from '@backstage/backend-plugin-api';
import { stringifyError } from '@backstage/errors';
import { eventsServiceRef } from '@backstage/plugin-events-node';
import Router from 'express-promise-router';

const words = error => stringifyError(error instanceof Error ? error : Object.assign(new Error(), error));

export default createBackendPlugin({
  pluginId: 'verdicts',
  register(env) {
    env.registerInit({
      deps: { events: eventsServiceRef, httpRouter: coreServices.httpRouter, logger: coreServices.logger },
      async init({ events, httpRouter, logger }) {
        const verdicts = new Map();
        const record = (entity, text) => {
          const verdict = `${entity}: ${text}`;
          if (verdicts.has(verdict)) return;
          verdicts.set(verdict, { entity, words: text });
          logger.error(`Refused ${verdict}`);
        };
        await events.subscribe({
          id: 'verdicts',
          topics: ['experimental.catalog.errors', 'experimental.catalog.conflict'],
          onEvent: async ({ topic, eventPayload: { entity, entityRef, errors } }) => {
            if (topic.endsWith('conflict')) record(entityRef, 'another location holds an entity of this name');
            else errors.forEach(error => record(entity, words(error)));
          },
        });
        const router = Router();
        router.get('/', (_, response) => response.json([...verdicts.values()]));
        httpRouter.use(router);
      },
    });
  },
});
