"""ModelArts by its REST interface, through the core of Huawei's SDK: its credentials and signatures, plain JSON.

huaweicloudsdkmodelarts says the same in 1,300 modules, whose classes lose what they do not know of an answer; loading
them takes three times as long as the core that does the work.
"""

from tuneport.backends.modelarts.client.connecting import connect
from tuneport.backends.modelarts.client.service import MARKED, ModelArtsClient

__all__ = ["MARKED", "ModelArtsClient", "connect"]
