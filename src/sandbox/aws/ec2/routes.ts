import { type Actions, ec2Action } from '../action.ts';
import type { SeedInternetGateway, SeedPrefixList, SeedRouteTable } from '../seed.ts';
import { record } from '../shapes.ts';
import type { World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { type Facets, keepMatching } from './filters.ts';
import { pageFields, pageOf } from './paging.ts';
import { describeFields, ids, pick, tagSet } from './resources.ts';

const findTables = record({ ...describeFields, RouteTableId: ids, ...pageFields(5, 100) });
const findGateways = record({ ...describeFields, InternetGatewayId: ids, ...pageFields(5, 1000) });
const findLists = record({ ...describeFields, PrefixListId: ids, ...pageFields(1, 100) });

const tableFacets: Facets<SeedRouteTable> = {
  'route-table-id': ({ id }) => [id],
  'vpc-id': ({ vpcId }) => [vpcId],
  'association.main': ({ main }) => [main ?? false],
  'association.subnet-id': ({ subnetIds = [] }) => subnetIds,
  'route.gateway-id': ({ routes }) => routes.map(({ target }) => target),
  'route.destination-cidr-block': ({ routes }) => routes.map(({ destination }) => destination),
};

const gatewayFacets: Facets<SeedInternetGateway> = {
  'internet-gateway-id': ({ id }) => [id],
  'attachment.vpc-id': ({ vpcId }) => [vpcId],
  'attachment.state': () => ['available'],
};

const listFacets: Facets<SeedPrefixList> = {
  'prefix-list-id': ({ id }) => [id],
  'prefix-list-name': ({ name }) => [name],
  'owner-id': () => [],
};

export const routeActions: Actions = {
  DescribeRouteTables: ec2Action(findTables, (world, input) => {
    const missing = { code: 'InvalidRouteTableID.NotFound', called: 'routeTable ID' };
    const all = () => [...world.routeTables.values()];
    const picked = pick(input.RouteTableId, (id) => world.routeTables.get(id), all, missing);
    const kept = keepMatching(world, picked, input.Filter, tableFacets, ({ id }) => id);
    const { page, next } = pageOf(kept, input, input.RouteTableId, 100);
    return { routeTableSet: page.map((table) => tableXml(world, table)), nextToken: next };
  }),
  DescribeInternetGateways: ec2Action(findGateways, (world, input) => {
    const missing = { code: 'InvalidInternetGatewayID.NotFound', called: 'internetGateway ID' };
    const picked = pick(
      input.InternetGatewayId,
      (id) => world.gateways.get(id),
      () => [...world.gateways.values()],
      missing,
    );
    const kept = keepMatching(world, picked, input.Filter, gatewayFacets, ({ id }) => id);
    const { page, next } = pageOf(kept, input, input.InternetGatewayId);
    return { internetGatewaySet: page.map((gateway) => gatewayXml(world, gateway)), nextToken: next };
  }),
  DescribeManagedPrefixLists: ec2Action(findLists, (world, input) => {
    const missing = { code: 'InvalidPrefixListID.NotFound', called: 'prefix list ID' };
    const picked = pick(
      input.PrefixListId,
      (id) => world.prefixLists.get(id),
      () => [...world.prefixLists.values()],
      missing,
    );
    const kept = keepMatching(world, picked, input.Filter, listFacets, ({ id }) => id);
    const { page, next } = pageOf(kept, input, undefined, 100);
    return { prefixListSet: page.map((one) => listXml(world, one)), nextToken: next };
  }),
};

function tableXml(world: World, table: SeedRouteTable): XmlObject {
  const association = (subnetId: string | undefined): XmlObject => ({
    routeTableAssociationId: `rtbassoc-${subnetId ?? table.id}`,
    routeTableId: table.id,
    subnetId,
    main: subnetId === undefined,
    associationState: { state: 'associated' },
  });
  return {
    routeTableId: table.id,
    vpcId: table.vpcId,
    ownerId: world.accountId,
    associationSet: [...(table.main ? [association(undefined)] : []), ...(table.subnetIds ?? []).map(association)],
    routeSet: table.routes.map(({ destination, target }) => ({
      [destination.includes(':') ? 'destinationIpv6CidrBlock' : 'destinationCidrBlock']: destination,
      [target.startsWith('nat-') ? 'natGatewayId' : 'gatewayId']: target,
      state: 'active',
      origin: target === 'local' ? 'CreateRouteTable' : 'CreateRoute',
    })),
    propagatingVgwSet: [],
    tagSet: tagSet(world, table.id),
  };
}

function gatewayXml(world: World, { id, vpcId }: SeedInternetGateway): XmlObject {
  return {
    internetGatewayId: id,
    ownerId: world.accountId,
    attachmentSet: [{ vpcId, state: 'available' }],
    tagSet: tagSet(world, id),
  };
}

function listXml(world: World, list: SeedPrefixList): XmlObject {
  return {
    prefixListId: list.id,
    prefixListName: list.name,
    prefixListArn: `arn:aws:ec2:${world.region}:${world.accountId}:prefix-list/${list.id}`,
    addressFamily: list.family ?? 'IPv4',
    state: 'create-complete',
    maxEntries: list.maxEntries,
    version: 1,
    ownerId: world.accountId,
    tagSet: tagSet(world, list.id),
  };
}
