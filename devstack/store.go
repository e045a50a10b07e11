package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// Every store has the same bucket and password. They are no secret, and so a store listens on loopback only.
const (
	bucket    = "reelflow"
	accessKey = "reelflow"
	secretKey = "reelflow-local"
	region    = "us-east-1"
)

// A store in a report: its name, its endpoint, and both with the bucket and the password in the one URL that
// reelflow's settings take.
type store struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	URL      string `json:"url"`
}

func newStore(name, addr string) store {
	settings := url.URL{
		Scheme: "s3", User: url.UserPassword(accessKey, secretKey), Host: addr, Path: bucket,
		RawQuery: "region=" + region + "&tls=false&name=" + name,
	}
	return store{Name: name, Endpoint: "http://" + addr, URL: settings.String()}
}

// hostOf returns the host:port of a URL from a report, or "" if it is none.
func hostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}

// serveStore is an S3 store on the file system until ctx ends: the S3 gateway of versitygw, which allows one instance
// in a process and moves the process into its data folder.
func serveStore(ctx context.Context, o options, announce func(report) error) error {
	name := o.parts[0]
	dir := filepath.Join(o.dir, "stores", name)
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	held := &ports{}
	defer held.close()
	addr, err := held.take(o.storeAddr[name], "store-addr "+name+"=HOST:PORT")
	if err != nil {
		return err
	}
	backend, err := openFiles(dir)
	if err != nil {
		return err
	}

	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	held.release()
	go func() { ended <- embedgw.RunVersityGW(serving, backend, gateway(addr)) }()

	s := newStore(name, addr)
	prepared := make(chan error, 1)
	go func() { prepared <- s.prepare(serving) }()
	select {
	case err = <-ended:
	case err = <-prepared:
		if err == nil {
			err = announce(report{Stores: []store{s}})
		}
		if err != nil {
			stop()
		}
		err = errors.Join(err, <-ended)
	}
	switch {
	case ctx.Err() != nil:
		return nil // told to stop
	case err == nil:
		return fmt.Errorf("%s stopped by itself", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// openFiles makes the folders of a store. The file system must have extended attributes, where versitygw keeps what
// S3 knows of an object beside its bytes.
func openFiles(dir string) (*posix.Posix, error) {
	data, versions := filepath.Join(dir, "data"), filepath.Join(dir, "versions")
	for _, d := range []string{data, versions} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, refusal{fmt.Sprintf("cannot keep objects in %s: %v; choose another folder with --dir", d, err)}
		}
	}
	if err := (meta.XattrMeta{}).Test(data); err != nil {
		return nil, refusal{fmt.Sprintf("%s lies on a file system without extended attributes (%v); choose another folder with --dir", data, err)}
	}
	// versitygw greets on standard output, which is ours for the report.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	os.Stdout = null
	return posix.New(data, meta.XattrMeta{}, posix.PosixOpts{
		VersioningDir:       versions,
		CopyObjectThreshold: 5 << 30, // S3's limit for CopyObject; with 0 every copy would be refused
	})
}

func gateway(addr string) *embedgw.Config {
	return &embedgw.Config{
		RootUserAccess: accessKey, RootUserSecret: secretKey, Region: region,
		Ports:          []string{addr},
		MaxConnections: 4096, MaxRequests: 2048,
		MultipartMaxParts: 10000, // S3's limit
		KeepAlive:         true,
		Quiet:             true,
	}
}

// prepare waits until the store answers, creates the bucket unless it is there, and enables its versioning.
func (s store) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client := s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{}}, // no proxy from the environment
	})
	err := retry(ctx, func() error {
		_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
		var mine *types.BucketAlreadyOwnedByYou
		if errors.As(err, &mine) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create bucket: %w", err)
	}
	_, err = client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket:                  aws.String(bucket),
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		return fmt.Errorf("enable versioning: %w", err)
	}
	return nil
}
