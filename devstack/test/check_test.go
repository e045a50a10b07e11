package test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

var bucket = aws.String("reelflow")

func client(s store) *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("reelflow", "reelflow-local", ""),
	})
}

func put(t *testing.T, c *s3.Client, key, body string) {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String(key), Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
}

func getObject(ctx context.Context, c *s3.Client, key string) (string, error) {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String(key)})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	return string(body), err
}

func get(t *testing.T, c *s3.Client, key string) string {
	t.Helper()
	body, err := getObject(t.Context(), c, key)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// getSoon reads from a store that may be away for some seconds.
func getSoon(t *testing.T, c *s3.Client, key string) string {
	t.Helper()
	for deadline := time.Now().Add(goneWithin); ; time.Sleep(50 * time.Millisecond) {
		body, err := getObject(t.Context(), c, key)
		if err == nil {
			return body
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// checkVersions wants a bucket that keeps versions, and lets go of them when each is deleted.
func checkVersions(t *testing.T, c *s3.Client) {
	t.Helper()
	put(t, c, "versions/a", "first")
	put(t, c, "versions/a", "second")
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("versions/a")}); err != nil {
		t.Fatal(err)
	}
	listing, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	if len(listing.Versions) != 2 || len(listing.DeleteMarkers) != 1 {
		t.Errorf("%d versions and %d markers, want 2 and 1", len(listing.Versions), len(listing.DeleteMarkers))
	}
	ids := []*string{}
	for _, v := range listing.Versions {
		ids = append(ids, v.VersionId)
	}
	for _, m := range listing.DeleteMarkers {
		ids = append(ids, m.VersionId)
	}
	for _, id := range ids {
		_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("versions/a"), VersionId: id})
		if err != nil {
			t.Fatal(err)
		}
	}
	listing, err = c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(listing.Versions) + len(listing.DeleteMarkers); n != 0 {
		t.Errorf("%d versions and markers are left, want none", n)
	}
}

func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// checkNamespace wants a healthy frontend and the namespace default as reelflow needs it.
func checkNamespace(t *testing.T, addr string) {
	t.Helper()
	conn := dial(t, addr)
	health, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{
		Service: "temporal.api.workflowservice.v1.WorkflowService",
	})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", health, err)
	}
	ns, err := workflowservice.NewWorkflowServiceClient(conn).DescribeNamespace(t.Context(),
		&workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if got := ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); got != 72*time.Hour {
		t.Errorf("retention %v, want 72h", got)
	}
	if !ns.GetNamespaceInfo().GetCapabilities().GetWorkerCommands() {
		t.Error("cancels are not pushed to workers")
	}
}

func addSearchAttribute(t *testing.T, addr, name string) {
	t.Helper()
	_, err := operatorservice.NewOperatorServiceClient(dial(t, addr)).AddSearchAttributes(t.Context(),
		&operatorservice.AddSearchAttributesRequest{
			Namespace:        "default",
			SearchAttributes: map[string]enums.IndexedValueType{name: enums.INDEXED_VALUE_TYPE_KEYWORD},
		})
	if err != nil {
		t.Fatal(err)
	}
}

func searchAttributes(t *testing.T, addr string) []string {
	t.Helper()
	list, err := operatorservice.NewOperatorServiceClient(dial(t, addr)).ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range list.CustomAttributes {
		names = append(names, name)
	}
	return names
}

// checkSearchAttribute registers one, starts a workflow with it soon after, and finds the workflow by it.
func checkSearchAttribute(t *testing.T, addr string) {
	t.Helper()
	addSearchAttribute(t, addr, "Stage")
	frontend := workflowservice.NewWorkflowServiceClient(dial(t, addr))
	value := &common.Payload{
		Metadata: map[string][]byte{"encoding": []byte("json/plain"), "type": []byte("Keyword")}, Data: []byte(`"uploading"`),
	}
	soon(t, func(ctx context.Context) (bool, error) {
		_, err := frontend.StartWorkflowExecution(ctx, &workflowservice.StartWorkflowExecutionRequest{
			Namespace: "default", WorkflowId: "video/1", RequestId: "1",
			WorkflowType:     &common.WorkflowType{Name: "Lifecycle"},
			TaskQueue:        &taskqueue.TaskQueue{Name: "none"},
			SearchAttributes: &common.SearchAttributes{IndexedFields: map[string]*common.Payload{"Stage": value}},
		})
		return err == nil, err
	})
	soon(t, func(ctx context.Context) (bool, error) {
		found, err := frontend.ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: "default", Query: `Stage = "uploading"`,
		})
		return len(found.GetExecutions()) == 1, err
	})
}

// soon wants ok within two seconds.
func soon(t *testing.T, ok func(context.Context) (bool, error)) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		done, err := ok(t.Context())
		if done && err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within two seconds: %v", err)
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, resp.Status, err)
	}
	return string(body)
}
