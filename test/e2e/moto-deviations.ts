import type { Deviation } from '../contracts/aws.ts';

/** What moto 5.2.5 does otherwise than AWS, as far as this project could care. Each entry is tested to be so still. */
export const motoDeviations: readonly Deviation[] = [
  {
    id: 'names-not-unique',
    reason: 'the same name always makes a second load balancer, and the same target group again is refused',
    tests: [
      'the same name with the same settings is the same load balancer',
      'the same name with other settings is refused',
      'the same name with the same settings is the same target group',
    ],
  },
  {
    id: 'arn-of-an-application',
    reason: 'a network load balancer gets loadbalancer/app/ in its ARN, a DNS name in the classic shape, and no scheme by itself',
    tests: ['its ARN and its DNS name have the shape of a network load balancer', 'without a scheme it faces the internet'],
  },
  {
    id: 'load-balancers-unchecked',
    reason: 'names, groups, pages and zones of a load balancer are taken as they come, or fail with another code',
    tests: [
      'a name of 33 characters is refused',
      'a name with an underscore is refused',
      'a name that begins with a hyphen is refused',
      'a name that begins with internal- is refused',
      'a subnet that is not there is refused',
      'a security group that is not there is refused',
      'a page of more than 400 is refused',
      'a marker that nobody gave is refused',
      'names and ARNs together are refused',
      'two subnets of one zone are refused',
      'subnets and subnet mappings together are refused',
      'no subnet at all is refused',
    ],
  },
  {
    id: 'missing-names-passed-over',
    reason: 'of several names only the last is missed; of several ARNs none',
    tests: ['a missing name after one that is there is not found either'],
  },
  {
    id: 'protection-ignored',
    reason: 'a protected load balancer is deleted',
    tests: ['one that is protected is not deleted until the protection is off'],
  },
  {
    id: 'groups-keep-their-users',
    reason: 'a target group names its load balancers twice, and goes on naming those that are gone',
    tests: ['its target groups are free when it is gone', 'it names the load balancer that uses it, once'],
  },
  {
    id: 'security-groups-of-load-balancers',
    reason: 'any load balancer takes groups at any time, and there is no switch for PrivateLink',
    tests: ['one made without security groups never gets any', 'the inbound rules for PrivateLink are switched with the groups'],
  },
  {
    id: 'two-zones-at-least',
    reason: 'SetSubnets wants two zones, as application load balancers do',
    tests: ['a zone is added, and a zone is taken away'],
  },
  {
    id: 'addresses-ignored',
    reason: 'Elastic IPs and private addresses of subnet mappings are neither checked nor held nor told',
    tests: [
      'an Elastic IP is the address of its zone, and is free again afterwards',
      'an Elastic IP that is not there is refused',
      'an Elastic IP on an internal load balancer is refused',
      'a private address out of the subnet is held',
      'a private address from elsewhere is refused',
    ],
  },
  {
    id: 'no-source-nat-prefixes',
    reason: 'EnablePrefixForIpv6SourceNat is unknown',
    tests: ['UDP over dual stack needs prefixes for source NAT'],
  },
  {
    id: 'no-interfaces',
    reason: 'a load balancer has no network interfaces',
    tests: ['each zone has an interface that is found by its description'],
  },
  {
    id: 'attributes-of-an-application',
    reason: 'attributes begin with those of application load balancers, lack some of network ones, and are hardly checked',
    tests: [
      'a load balancer begins with these',
      'a load balancer has its routing policy from the beginning',
      'a key that load balancers do not have is refused',
      'a key that only application load balancers have is refused',
      'whether IPv6 is let in is for dual stack only',
      'a target group says from the beginning whose address the target sees',
      'a target group has none of the keys of application load balancers',
      'an hour of draining is allowed',
      'a key that target groups do not have is refused',
      'UDP always preserves the address of the client',
      'an idle timeout of less than a minute is refused',
    ],
  },
  {
    id: 'health-checks-unchecked',
    reason: 'a health check may have any interval, threshold, port and path',
    tests: [
      'an interval of 301 seconds is refused',
      'a threshold of 11 is refused',
      'a health check port that is no port is refused',
      'a path for a check by TCP is refused',
    ],
  },
  {
    id: 'absent-groups-missed',
    reason: 'deleting a target group that is gone fails, and so does asking for those of a load balancer without any',
    tests: ['deleting a group twice succeeds twice', 'the groups of a load balancer without any are none'],
  },
  {
    id: 'no-pages',
    reason: 'target groups and listeners come all at once, and any number is described at a time',
    tests: ['groups come in pages', 'listeners come in pages', 'twenty groups are described at a time, and not twenty-one'],
  },
  {
    id: 'targets-by-id',
    reason: 'a target is an instance, whatever the port: the second port takes the place of the first',
    tests: ['one instance on two ports is two targets'],
  },
  {
    id: 'healthy-at-once',
    reason: 'a target is healthy from the first moment, in use or not, and is gone at once',
    tests: [
      'a target is initial before it is healthy',
      'a target drains before it is gone',
      'without a listener a target is unused',
      'in a zone without the load balancer a target is unused',
    ],
  },
  {
    id: 'targets-unchecked',
    reason: 'an unknown instance is registered, half a batch too, and deregistering what is not registered fails',
    tests: [
      'an instance that is not there is refused',
      'of a batch with one bad target nothing is registered',
      'deregistering what is not registered succeeds',
    ],
  },
  {
    id: 'listeners-unchecked',
    reason: 'a port may be taken twice, a group by several load balancers, by any protocol and for any action',
    tests: [
      'the same listener again is the same',
      'another listener on the port is refused',
      'TCP and UDP do not share a port',
      'a listener does not move to a port that another one has',
      'a protocol that does not suit the group is refused',
      'a target group serves one load balancer',
      'an action that does not forward is refused',
      'it does not turn to a target group that is not there',
    ],
  },
  {
    id: 'modify-listener',
    reason: 'ModifyListener refuses UDP and TLS, and ignores certificates and ALPN',
    tests: ['its protocol becomes UDP', 'the default certificate is exchanged', 'an ALPN policy is kept'],
  },
  {
    id: 'tls-unchecked',
    reason: 'TCP listeners have a security policy and take certificates, TLS listeners do without',
    tests: [
      'a TCP listener has no security policy',
      'a TLS listener without a certificate is refused',
      'certificates for a TCP listener are refused',
    ],
  },
  {
    id: 'tags',
    reason: 'the limit is about ten, reserved and double keys are taken, tags of twenty-one or missing ARNs are read',
    tests: [
      'fifty tags fit',
      'fifty-one tags do not',
      'a key that begins with aws: is refused',
      'the same key twice is refused',
      'twenty-one are not',
      'tags of what is gone are not found, with the whole batch',
    ],
  },
  {
    id: 'account',
    reason: 'the quotas are those of years ago, there are no capacity reservations, and a missing parameter is not missed',
    tests: [
      'the quotas are told by name',
      'the quotas that the API names and its reference does not',
      'capacity is reserved and given back',
      'a parameter that must be there is missed by name',
    ],
  },
  {
    id: 'subnet-ipv6',
    reason: "the state of a subnet's IPv6 range is the text {'State': 'associated'}, so no subnet counts as having one",
    tests: ['the IPv6 range of a subnet is associated'],
  },
  {
    id: 'ec2-unchecked',
    reason: 'EC2 takes pages of one, an unknown filter is a fault of the server, names and ranges of groups are hardly checked',
    tests: [
      'a page of fewer than five is refused',
      'a filter that there is not is refused',
      'a group name that begins with sg- is refused',
      'a range with host bits is kept without them, and is the same rule',
    ],
  },
  {
    id: 'rules-told-one',
    reason: 'AuthorizeSecurityGroupIngress answers with the last rule only',
    tests: ['rules are told one by one when they are made'],
  },
  {
    id: 'groups-in-use-deleted',
    reason: 'a security group is deleted although an instance, a load balancer or a rule has it',
    tests: [
      'a group that a load balancer has is not deleted',
      'a group that an instance has is not deleted',
      'a group that a rule of another one names is not deleted',
    ],
  },
];

/** LocalStack's load balancing is moto's own, some versions older, and so is most of its EC2: what moto came to do otherwise later is not there. */
export const localStackDeviations: readonly Deviation[] = motoDeviations.filter(({ id }) => id !== 'subnet-ipv6');
