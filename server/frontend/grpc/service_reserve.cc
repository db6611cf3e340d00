#include "server/frontend/grpc/reserve_call.h"
#include "server/frontend/grpc/service.h"
#include "server/frontend/grpc/work_stream.h"

namespace holdfast {

grpc::ServerUnaryReactor* HoldfastService::Reserve(Context*, const v1::ReserveRequest* request,
                                                   v1::ReserveResponse* response) {
  return ReserveCall::Start(environment_, *request, response);
}

grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>* HoldfastService::Work(Context*) {
  return WorkStreamCall::Start(environment_);
}

}  // namespace holdfast
