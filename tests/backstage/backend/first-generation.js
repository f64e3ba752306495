// The reader of the first plugin generation (RHDH 1.8 and 1.9), written from its contract: those releases of the
// plugin are not published as npm packages. The catalog that judges what it makes is the real one.
//
// GET {baseUrl}/list, then every URI at once. One bad answer ends the round and changes nothing; a good round is a
// full mutation: what the list does not name is deleted.
import {
  coreServices,
  createBackendModule,
  readSchedulerServiceTaskScheduleDefinitionFromConfig as readSchedule,
} from '@backstage/backend-plugin-api';
import { ANNOTATION_LOCATION, ANNOTATION_ORIGIN_LOCATION, makeValidator } from '@backstage/catalog-model';
import { catalogProcessingExtensionPoint } from '@backstage/plugin-catalog-node';

const CARD_ANNOTATION = 'TechDocs';
const { isValidTag } = makeValidator();

const withoutSpaces = text => text.replace(/\s/g, '');
const listed = value => (value === undefined ? [] : value);
const link = (title, url) => (url ? [{ title, url }] : []);

/** Tags as the reader passes them on: without spaces, and those that the catalog would refuse dropped in silence. */
function tagsOf(tags) {
  return listed(tags).map(withoutSpaces).filter(isValidTag);
}

/** A model's annotations: the card's becomes that of TechDocs. Those of a server and its API are copied as they are. */
function annotationsOfModel(source = {}) {
  const { [CARD_ANNOTATION]: card, ...annotations } = source;
  return card ? { ...annotations, 'backstage.io/techdocs-ref': `url:${card.trim()}` } : annotations;
}

function resourceOf(model, server) {
  if (!model.name) throw new Error('a model has no name');
  return {
    apiVersion: 'backstage.io/v1beta1',
    kind: 'Resource',
    metadata: {
      name: withoutSpaces(model.name),
      description: model.description,
      annotations: annotationsOfModel(model.annotations),
      tags: tagsOf(model.tags),
      links: [
        ...link('Artifact Location', model.artifactLocationURL),
        ...link('How to use', model.howToUseURL),
        ...link('License', model.license),
      ],
    },
    spec: {
      type: 'ai-model',
      owner: `user:${model.owner}`,
      ...(server && { dependencyOf: [`component:${server.name}`] }),
    },
  };
}

function componentOf(server, models, access) {
  const api = server.API;
  return {
    apiVersion: 'backstage.io/v1beta1',
    kind: 'Component',
    metadata: {
      name: withoutSpaces(server.name),
      description: server.description,
      annotations: { ...api?.annotations, ...server.annotations },
      tags: [...tagsOf(server.tags), access],
      links: [...link('API', api?.url), ...link('Homepage', server.homepageURL)],
    },
    spec: {
      type: 'model-server',
      lifecycle: server.lifecycle,
      owner: `user:${server.owner}`,
      dependsOn: models.map(model => `resource:${model.name}`),
      ...(api && { providesApis: [server.name] }),
    },
  };
}

function apiOf(server, access) {
  const api = server.API;
  return {
    apiVersion: 'backstage.io/v1beta1',
    kind: 'API',
    metadata: {
      name: withoutSpaces(server.name),
      tags: [...tagsOf(api.tags), access],
      links: link('API', api.url),
    },
    spec: { type: api.type, lifecycle: server.lifecycle, owner: `user:${server.owner}`, definition: api.spec },
  };
}

/** The entities of one document; throws where the reader of the time would have thrown. */
export function entitiesOf(document) {
  const { models, modelServer: server } = document;
  const entities = models.map(model => resourceOf(model, server));
  if (server) {
    const access = server.authentication ? 'auth-required' : 'auth-not-required';
    entities.push(componentOf(server, models, access));
    if (server.API !== undefined) entities.push(apiOf(server, access));
  }
  return entities;
}

async function readJson(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`);
  return response.json();
}

class FirstGenerationProvider {
  constructor({ id, baseUrl, schedule, logger }) {
    this.id = id;
    this.baseUrl = baseUrl;
    this.schedule = schedule;
    this.logger = logger;
  }

  getProviderName() {
    return `ModelCatalogResourceEntityProvider:${this.id}`;
  }

  async connect(connection) {
    await this.schedule.run({
      id: `${this.getProviderName()}:run`,
      fn: () => this.round(connection).catch(error => this.logger.error(`The round was given up: ${error.message}`)),
    });
  }

  async round(connection) {
    this.logger.debug(`Reading the feed at ${this.baseUrl}`);
    const { uris } = await readJson(`${this.baseUrl}/list`);
    const documents = await Promise.all((uris ?? []).map(uri => readJson(`${this.baseUrl}${uri}`)));
    const locationKey = this.getProviderName();
    const entities = documents.flatMap(entitiesOf);
    for (const { metadata } of entities) {
      metadata.annotations = {
        ...metadata.annotations,
        [ANNOTATION_LOCATION]: locationKey,
        [ANNOTATION_ORIGIN_LOCATION]: locationKey,
      };
    }
    await connection.applyMutation({ type: 'full', entities: entities.map(entity => ({ entity, locationKey })) });
  }
}

export default createBackendModule({
  pluginId: 'catalog',
  moduleId: 'first-generation',
  register(env) {
    env.registerInit({
      deps: {
        catalog: catalogProcessingExtensionPoint,
        config: coreServices.rootConfig,
        logger: coreServices.logger,
        scheduler: coreServices.scheduler,
      },
      async init({ catalog, config, logger, scheduler }) {
        const providers = config.getConfig('catalog.providers.modelCatalog');
        for (const id of providers.keys()) {
          const provider = providers.getConfig(id);
          const schedule = scheduler.createScheduledTaskRunner(readSchedule(provider.getConfig('schedule')));
          const baseUrl = provider.getString('baseUrl').replace(/\/$/, '');
          catalog.addEntityProvider(new FirstGenerationProvider({ id, baseUrl, schedule, logger }));
        }
      },
    });
  },
});
