import { expect } from '@jest/globals';
import { type Promises, refused } from './stage.ts';

export const targetPromises: Promises = {
  'registering twice is registering once': async (stage) => {
    const { group } = await stage.served();
    const { TargetGroupArn } = group;
    const [Id] = stage.ground.instances;
    const register = () => stage.elb.registerTargets({ TargetGroupArn, Targets: [{ Id: Id!, Port: 30_080 }] });
    await register();
    await register();
    await stage.until(() => stage.health(group), [`${Id}:30080 healthy`]);
  },
  'without a port a target has that of the group': async (stage) => {
    const { group } = await stage.served();
    const [Id] = stage.ground.instances;
    await stage.elb.registerTargets({ TargetGroupArn: group.TargetGroupArn, Targets: [{ Id: Id! }] });
    await stage.until(() => stage.health(group), [`${Id}:30080 healthy`]);
  },
  'one instance on two ports is two targets': async (stage) => {
    const { group } = await stage.served();
    const { TargetGroupArn } = group;
    const [Id] = stage.ground.instances;
    const Targets = [30_080, 30_081].map((Port) => ({ Id: Id!, Port }));
    await stage.elb.registerTargets({ TargetGroupArn, Targets });
    await stage.until(() => stage.health(group), [`${Id}:30080 healthy`, `${Id}:30081 healthy`]);
    await stage.elb.deregisterTargets({ TargetGroupArn, Targets: [{ Id: Id!, Port: 30_080 }] });
    await stage.until(() => stage.health(group), [`${Id}:30081 healthy`]);
  },
  'a target is initial before it is healthy': async (stage) => {
    const { group } = await stage.served();
    const [Id] = stage.ground.instances;
    await stage.elb.registerTargets({ TargetGroupArn: group.TargetGroupArn, Targets: [{ Id: Id!, Port: 30_080 }] });
    expect(await stage.health(group)).toEqual([`${Id}:30080 initial Elb.InitialHealthChecking`]);
  },
  'a target drains before it is gone': async (stage) => {
    const { group } = await stage.served();
    const { TargetGroupArn } = group;
    const [Id] = stage.ground.instances;
    const Targets = [{ Id: Id!, Port: 30_080 }];
    await stage.elb.registerTargets({ TargetGroupArn, Targets });
    await stage.elb.deregisterTargets({ TargetGroupArn, Targets });
    expect(await stage.health(group)).toEqual([`${Id}:30080 draining Target.DeregistrationInProgress`]);
    await stage.until(() => stage.health(group), []);
  },
  'without a listener a target is unused': async (stage) => {
    const group = await stage.group();
    const [Id] = stage.ground.instances;
    await stage.elb.registerTargets({ TargetGroupArn: group.TargetGroupArn, Targets: [{ Id: Id!, Port: 30_080 }] });
    expect(await stage.health(group)).toEqual([`${Id}:30080 unused Target.NotInUse`]);
  },
  'in a zone without the load balancer a target is unused': async (stage) => {
    const balancer = await stage.balancer();
    const group = await stage.group();
    await stage.listener(balancer, group);
    const Id = stage.ground.instances[1]!;
    await stage.elb.registerTargets({ TargetGroupArn: group.TargetGroupArn, Targets: [{ Id, Port: 30_080 }] });
    expect(await stage.health(group)).toEqual([`${Id}:30080 unused Target.NotInUse`]);
  },
  'one that was never registered is told as such': async (stage) => {
    const group = await stage.group();
    const { TargetHealthDescriptions } = await stage.elb.describeTargetHealth({
      TargetGroupArn: group.TargetGroupArn,
      Targets: [{ Id: stage.ground.instances[0]!, Port: 30_080 }],
    });
    expect(TargetHealthDescriptions?.[0]?.TargetHealth).toMatchObject({ State: 'unused', Reason: 'Target.NotRegistered' });
  },
  'deregistering what is not registered succeeds': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    await stage.elb.deregisterTargets({ TargetGroupArn, Targets: [{ Id: stage.ground.instances[0]!, Port: 30_080 }] });
  },
  'an instance that is not there is refused': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    const register = stage.elb.registerTargets({ TargetGroupArn, Targets: [{ Id: 'i-0123456789abcdef0' }] });
    await refused(register, 'InvalidTargetException');
  },
  'an instance that is stopped is refused': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    const register = stage.elb.registerTargets({ TargetGroupArn, Targets: [{ Id: stage.ground.stoppedInstance }] });
    await refused(register, 'InvalidTargetException');
  },
  'of a batch with one bad target nothing is registered': async (stage) => {
    const { group } = await stage.served();
    const Targets = [{ Id: stage.ground.instances[0]! }, { Id: stage.ground.stoppedInstance }];
    await refused(stage.elb.registerTargets({ TargetGroupArn: group.TargetGroupArn, Targets }), 'InvalidTargetException');
    expect(await stage.health(group)).toEqual([]);
  },
  'a target group that is not there is not found': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    await stage.elb.deleteTargetGroup({ TargetGroupArn });
    const Targets = [{ Id: stage.ground.instances[0]! }];
    await refused(stage.elb.registerTargets({ TargetGroupArn, Targets }), 'TargetGroupNotFoundException');
    await refused(stage.elb.deregisterTargets({ TargetGroupArn, Targets }), 'TargetGroupNotFoundException');
    await refused(stage.elb.describeTargetHealth({ TargetGroupArn }), 'TargetGroupNotFoundException');
  },
};
