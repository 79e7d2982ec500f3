import { expect } from '@jest/globals';
import { only, type Promises, refused, type Stage } from './stage.ts';

async function tlsListener(stage: Stage) {
  const balancer = await stage.balancer();
  const group = await stage.group();
  const Certificates = [{ CertificateArn: stage.ground.certificates[0]! }];
  return { balancer, group, listener: await stage.listener(balancer, group, { Protocol: 'TLS', Port: 443, Certificates }) };
}

async function certificatesOf(stage: Stage, ListenerArn: string): Promise<readonly string[]> {
  const { Certificates } = await stage.elb.describeListenerCertificates({ ListenerArn });
  return (Certificates ?? []).map(({ CertificateArn, IsDefault }) => `${CertificateArn}${IsDefault ? ' default' : ''}`).sort();
}

export const tlsPromises: Promises = {
  'a TLS listener has its certificate and a security policy': async (stage) => {
    const { listener } = await tlsListener(stage);
    expect(listener).toMatchObject({ Protocol: 'TLS', SslPolicy: expect.stringMatching(/^ELBSecurityPolicy-/) });
    expect(only(listener.Certificates).CertificateArn).toBe(stage.ground.certificates[0]);
  },
  'a TLS listener without a certificate is refused': async (stage) => {
    const balancer = await stage.balancer();
    await refused(stage.listener(balancer, await stage.group(), { Protocol: 'TLS', Port: 443 }), 'ValidationError');
  },
  'a certificate that is not there is refused': async (stage) => {
    const balancer = await stage.balancer();
    const stranger = stage.ground.certificates[0]!.replace(/[0-9a-f]{12}$/, 'ffffffffffff');
    const input = { Protocol: 'TLS' as const, Port: 443, Certificates: [{ CertificateArn: stranger }] };
    await refused(stage.listener(balancer, await stage.group(), input), 'CertificateNotFoundException');
  },
  'a security policy that is not there is refused': async (stage) => {
    const { ListenerArn } = (await tlsListener(stage)).listener;
    await refused(stage.elb.modifyListener({ ListenerArn, SslPolicy: 'ELBSecurityPolicy-None' }), 'SSLPolicyNotFoundException');
  },
  'the security policy is changed': async (stage) => {
    const { ListenerArn } = (await tlsListener(stage)).listener;
    const SslPolicy = 'ELBSecurityPolicy-TLS13-1-2-2021-06';
    const { Listeners } = await stage.elb.modifyListener({ ListenerArn, SslPolicy });
    expect(only(Listeners).SslPolicy).toBe(SslPolicy);
  },
  'the default certificate is exchanged': async (stage) => {
    const { ListenerArn } = (await tlsListener(stage)).listener;
    const CertificateArn = stage.ground.certificates[1]!;
    await stage.elb.modifyListener({ ListenerArn, Certificates: [{ CertificateArn }] });
    const { Listeners } = await stage.elb.describeListeners({ ListenerArns: [ListenerArn] });
    expect(only(only(Listeners).Certificates).CertificateArn).toBe(CertificateArn);
  },
  'an ALPN policy is kept': async (stage) => {
    const { ListenerArn } = (await tlsListener(stage)).listener;
    await stage.elb.modifyListener({ ListenerArn, AlpnPolicy: ['HTTP2Preferred'] });
    const { Listeners } = await stage.elb.describeListeners({ ListenerArns: [ListenerArn] });
    expect(only(Listeners).AlpnPolicy).toEqual(['HTTP2Preferred']);
  },
  'more certificates are added and taken away': async (stage) => {
    const { ListenerArn } = (await tlsListener(stage)).listener;
    const [first, second] = stage.ground.certificates;
    const Certificates = [{ CertificateArn: second! }];
    await stage.elb.addListenerCertificates({ ListenerArn, Certificates });
    expect(await certificatesOf(stage, ListenerArn)).toEqual([`${first} default`, second].sort());
    await stage.elb.removeListenerCertificates({ ListenerArn, Certificates });
    expect(await certificatesOf(stage, ListenerArn)).toEqual([`${first} default`]);
  },
  'certificates for a TCP listener are refused': async (stage) => {
    const balancer = await stage.balancer();
    const Certificates = [{ CertificateArn: stage.ground.certificates[0]! }];
    const listen = stage.listener(balancer, await stage.group(), { Certificates });
    await refused(listen, 'InvalidConfigurationRequestException');
  },
};
