// SPDX-License-Identifier: Apache-2.0

// The contract in a few calls: tour NAMED_ORBITS.json [HOST:PORT].
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	v1 "orrery/inference/v1"
)

// Balance over all addresses of a name. Newer releases of gRPC also read the retry policy of the Python client's
// SERVICE_CONFIG here.
const serviceConfig = `{"loadBalancingConfig": [{"round_robin": {}}]}`

func main() {
	log.SetFlags(0)
	target := "127.0.0.1:50051"
	if len(os.Args) > 2 {
		target = os.Args[2]
	}
	objects := namedObjects(os.Args[1])
	channel, err := grpc.Dial(target, grpc.WithInsecure(), grpc.WithDefaultServiceConfig(serviceConfig))
	check(err)
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	predicted, err := v1.NewPredictionServiceClient(channel).Predict(ctx, &v1.PredictRequest{Objects: objects})
	check(err)
	scored, err := v1.NewAnomalyServiceClient(channel).ScoreAnomalies(ctx, &v1.ScoreAnomaliesRequest{Objects: objects})
	check(err)
	for row, said := range predicted.Predictions {
		rule := said.Definition
		fmt.Printf("%s: %s, Earth MOID %.6f au, P(PHA) %.3f, anomaly %.3f\n",
			said.Designation, rule.OrbitClass, rule.GetEarthMoidAu(), said.PhaProbability, scored.Scores[row].Score)
	}

	follow(ctx, channel, objects[0])

	objects[0].GetElements().Eccentricity = -0.2
	_, err = v1.NewPredictionServiceClient(channel).Predict(ctx, &v1.PredictRequest{Objects: objects})
	explain(err)
}

// follow prints the nearest approach of an object within 1300 days.
func follow(ctx context.Context, channel *grpc.ClientConn, object *v1.NearEarthObject) {
	scenario := &v1.Scenario{Object: object, DurationDays: 1300}
	updates, err := v1.NewSimulationServiceClient(channel).StreamSimulate(ctx, &v1.SimulateRequest{Scenario: scenario})
	check(err)
	for {
		update, err := updates.Recv()
		if err == io.EOF {
			return
		}
		check(err)
		if result := update.GetResult(); result != nil {
			nearest := result.Baseline[0]
			for _, met := range result.Baseline {
				if met.DistanceKm < nearest.DistanceKm {
					nearest = met
				}
			}
			fmt.Printf("%s passes %s at %.0f km\n", object.Designation, nearest.Body, nearest.DistanceKm)
		}
	}
}

// explain prints a refusal: the code, the published reason, the first field that was wrong.
func explain(err error) {
	refusal := status.Convert(err)
	reason, path := "", ""
	for _, detail := range refusal.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.Reason
		case *errdetails.BadRequest:
			path = detail.FieldViolations[0].Field
		}
	}
	fmt.Println(code.Code(refusal.Code()), reason, path)
}

func namedObjects(path string) []*v1.NearEarthObject {
	content, err := os.ReadFile(path)
	check(err)
	var entries []struct{ Object json.RawMessage }
	check(json.Unmarshal(content, &entries))
	objects := make([]*v1.NearEarthObject, len(entries))
	for row, entry := range entries {
		objects[row] = &v1.NearEarthObject{}
		check(protojson.Unmarshal(entry.Object, objects[row]))
	}
	return objects
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
