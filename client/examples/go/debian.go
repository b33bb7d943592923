// SPDX-License-Identifier: Apache-2.0

package main

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"
)

// codec lets the gRPC of Debian 12 (1.33, built on protobuf 1.3) carry today's generated messages. Newer releases do so
// by themselves: leave this file out.
type codec struct{}

func (codec) Marshal(message interface{}) ([]byte, error) {
	return proto.Marshal(message.(proto.Message))
}

func (codec) Unmarshal(content []byte, message interface{}) error {
	return proto.Unmarshal(content, message.(proto.Message))
}

func (codec) Name() string {
	return "proto"
}

func init() {
	encoding.RegisterCodec(codec{})
}
