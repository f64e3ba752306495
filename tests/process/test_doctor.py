"""The doctor with the real services: what it takes their answers for, and what a model's way looks like."""

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.doctor import doctor
from tests.process.pod import STORAGE, Pod, isvc_uri


async def test_a_pod_that_is_well_has_no_faults(pod: Pod, cluster: ProcessCluster) -> None:
    await cluster.apply(isvc("iris"))
    await pod.start()
    await pod.serving(isvc_uri("iris"))

    status, found = await doctor(pod)

    assert status == 0, found
    assert found["feed"][-1] == ("ok", "the feed is complete and serves 1 model")
    assert found["cache"][0][1].startswith("1 model in 1 ConfigMap")
    assert any("first generation" in message and verdict == "ok" for verdict, message in found["backstage"])

    status, found = await doctor(pod, "model", "models/iris")
    assert status == 0, found
    assert [verdict for verdict, _ in (*found["deployment"], *found["cache"], *found["feed"])] == ["ok"] * 3


async def test_what_the_services_cannot_do_is_named(pod: Pod, cluster: ProcessCluster) -> None:
    pod.tolerate("storage is away")
    await cluster.apply(isvc("iris", ready=False))
    await pod.start()
    await pod.kill(STORAGE)

    status, found = await doctor(pod)

    assert status == 1
    assert ("fault", "storage-rest does not answer") in [(v, m[:28]) for v, m in found["feed"]]
    assert next(m for v, m in found["models"] if v == "warning").startswith("models/iris is not shown")

    _, found = await doctor(pod, "model", "iris")
    assert found["deployment"][0][0] == "fault"
