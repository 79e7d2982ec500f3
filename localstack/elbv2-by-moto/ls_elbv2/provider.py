"""The open core has no provider for elbv2. This one has every operation of the API and leaves each of them to moto."""

from localstack.services.plugins import Service, aws_provider


def _left_to_moto(operation):
    from localstack.aws.api import handler

    def operate(self, context, request):
        raise NotImplementedError  # the dispatcher takes this as: ask moto

    operate.__name__ = operation
    return handler(operation, expand=False)(operate)


@aws_provider(api="elbv2")
def elbv2():
    from localstack.aws.spec import load_service
    from localstack.services.moto import MotoFallbackDispatcher

    operations = {name: _left_to_moto(name) for name in load_service("elbv2").operation_names}
    provider = type("Elbv2Provider", (), {"service": "elbv2", "version": "2015-12-01", **operations})
    return Service.for_provider(provider(), dispatch_table_factory=MotoFallbackDispatcher)
