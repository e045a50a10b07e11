// Command rclone is rclone with the S3 backend and the command copy alone: the
// code that is compared with ours, without the other seventy backends, which
// would take longer to build than all benchmarks take to run.
package main

import (
	_ "github.com/rclone/rclone/backend/s3"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/copy"
)

func main() { cmd.Main() }
