// A Backstage with the plugins that a developer uses to find and read about a model, in the new frontend system.
import { createApp } from '@backstage/frontend-defaults';
import apiDocs from '@backstage/plugin-api-docs/alpha';
import catalog from '@backstage/plugin-catalog/alpha';
import graph from '@backstage/plugin-catalog-graph/alpha';
import org from '@backstage/plugin-org/alpha';
import search from '@backstage/plugin-search/alpha';
import techdocs from '@backstage/plugin-techdocs/alpha';

export default createApp({ features: [apiDocs, catalog, graph, org, search, techdocs] });
