using Trainer.Checkpoints;
using Trainer.Compute;
using Trainer.Optimization;
using Trainer.Tests.Optimization;

namespace Trainer.Tests.Checkpoints;

public sealed class CheckpointStoreTests
{
    private static readonly string[] Files = ["digests.json", "model.bin", "optimizer.bin", "state.json"];

    private static readonly OptimizerOptions Rule = new()
    {
        LearningRate = 0.01,
        Schedule = new() { Shape = ScheduleShape.Cosine, WarmupSteps = 5, Steps = 20 },
        Regularizer = new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.1, Order = RegularizerOrder.Pre },
    };

    private TemporaryFolder _directory = null!;

    [SetUp]
    public void Make() => _directory = new TemporaryFolder();

    [TearDown]
    public void Delete() => _directory.Dispose();

    [Test]
    public void A_run_that_is_resumed_writes_the_same_bytes_as_one_that_is_not()
    {
        using var straight = new OptimizerTrial(() => new ReferenceBackend(), Rule);
        straight.Run(20);
        string expected = Write(new CheckpointStore(_directory.PathOf("straight")), straight);

        var store = new CheckpointStore(_directory.PathOf("resumed"));
        using (var killed = new OptimizerTrial(() => new ReferenceBackend(), Rule))
        {
            killed.Run(10);
            Write(store, killed);
            killed.Run(3);
        }

        using var resumed = new OptimizerTrial(() => new ReferenceBackend(), Rule, _ => 7f);
        Checkpoint checkpoint = Checkpoint.Open(store.FindNewest()!);
        checkpoint.Load(resumed.Backend, resumed.Weights, resumed.Optimizer);
        Assert.That(resumed.Optimizer.StepsTaken, Is.EqualTo(10));
        resumed.Run(10);
        string found = Write(store, resumed);

        foreach (string file in Files)
            Assert.That(File.ReadAllBytes(Path.Combine(found, file)), Is.EqualTo(File.ReadAllBytes(Path.Combine(expected, file))), file);
        Assert.That(Directory.GetFiles(found), Has.Length.EqualTo(Files.Length));
        Assert.That(Path.GetFileName(found), Is.EqualTo("step-00000020"));
    }

    [Test]
    public void The_state_comes_back_with_all_its_bits()
    {
        using OptimizerTrial trial = Trained(3);
        var progress = new TrainingProgress(Tokens: 1L << 60, DataPosition: 17, Seed: ulong.MaxValue, BestValidationLoss: Math.PI, BestStep: 2);
        string path = new CheckpointStore(_directory.Path).Write(trial.Backend, OptimizerTrial.Model, trial.Weights, trial.Optimizer, progress);
        Checkpoint checkpoint = Checkpoint.Open(path);
        OptimizerState expected = trial.Optimizer.State();
        Assert.That(checkpoint.State.Progress, Is.EqualTo(progress));
        Assert.That(checkpoint.Model, Is.EqualTo(OptimizerTrial.Model));
        Assert.That(checkpoint.Step, Is.EqualTo(3));
        Assert.That(checkpoint.State.Optimizer.InitialSumsOfSquares, Is.EqualTo(expected.InitialSumsOfSquares));
        Assert.That(checkpoint.State.Optimizer.SumsOfSquares, Is.EqualTo(expected.SumsOfSquares));
    }

    [Test]
    public void A_flipped_byte_is_found_in_any_file([Values("model.bin", "optimizer.bin", "state.json")] string file, [Values(0, -1)] int where)
    {
        using OptimizerTrial trial = Trained(1);
        string path = Write(new CheckpointStore(_directory.Path), trial), damaged = Path.Combine(path, file);
        byte[] bytes = File.ReadAllBytes(damaged);
        bytes[where < 0 ? ^1 : where] ^= 1;
        File.WriteAllBytes(damaged, bytes);
        Assert.That(() => Checkpoint.Open(path), Throws.TypeOf<RequestException>().With.Message.StartsWith(damaged).And.Message.Contains("SHA-256"));
    }

    [Test]
    public void A_file_that_is_cut_or_missing_is_found([ValueSource(nameof(Files))] string file)
    {
        using OptimizerTrial trial = Trained(1);
        string path = Write(new CheckpointStore(_directory.Path), trial), damaged = Path.Combine(path, file);
        byte[] bytes = File.ReadAllBytes(damaged);
        File.WriteAllBytes(damaged, bytes[..^3]);
        Assert.That(() => Checkpoint.Open(path), Throws.TypeOf<RequestException>().With.Message.StartsWith(damaged));
        File.Delete(damaged);
        Assert.That(() => Checkpoint.Open(path), Throws.TypeOf<RequestException>().With.Message.StartsWith(damaged));
    }

    [Test]
    public void A_digest_that_is_left_out_is_found()
    {
        using OptimizerTrial trial = Trained(1);
        string path = Write(new CheckpointStore(_directory.Path), trial);
        File.WriteAllText(Path.Combine(path, "digests.json"), "{}");
        Assert.That(() => Checkpoint.Open(path), Throws.TypeOf<RequestException>().With.Message.Contains("no digest of model.bin"));
    }

    [Test]
    public void A_checkpoint_of_another_model_is_refused()
    {
        using OptimizerTrial trial = Trained(1);
        Checkpoint checkpoint = Checkpoint.Open(Write(new CheckpointStore(_directory.Path), trial));
        Tensor other = trial.Backend.Allocate(ElementType.Float32, new Shape(16));
        Assert.That(() => checkpoint.LoadWeights(trial.Backend, other), Throws.ArgumentException);
        trial.Backend.Free(other);
    }

    [TestCase(2, "step-00000003", "step-00000004")]
    [TestCase(1, "step-00000004")]
    [TestCase(0, "step-00000001", "step-00000002", "step-00000003", "step-00000004")]
    public void The_newest_are_kept(int keep, params string[] expected)
    {
        using OptimizerTrial trial = Trained(0);
        var store = new CheckpointStore(_directory.Path, keep);
        for (int i = 0; i < 4; i++)
        {
            trial.Step();
            Write(store, trial);
        }

        Assert.That(Names(), Is.EqualTo(expected));
        Assert.That(store.FindNewest(), Is.EqualTo(_directory.PathOf("step-00000004")));
    }

    [Test]
    public void Leftovers_of_a_killed_run_are_ignored_and_cleared_away()
    {
        using OptimizerTrial trial = Trained(1);
        var store = new CheckpointStore(_directory.Path);
        string first = Write(store, trial);
        CopyOf(first, "step-00000002.tmp");
        Directory.CreateDirectory(_directory.PathOf("step-00000003"));
        Assert.That(store.FindNewest(), Is.EqualTo(first));
        store.CleanUp();
        Assert.That(Names(), Is.EqualTo(new[] { "step-00000001", "step-00000003" }));
        Assert.That(new CheckpointStore(_directory.PathOf("none")).FindNewest(), Is.Null);
    }

    [Test]
    public void A_run_that_was_killed_while_it_wrote_a_step_again_still_has_that_step()
    {
        using OptimizerTrial trial = Trained(1);
        var store = new CheckpointStore(_directory.Path);
        string path = Write(store, trial);
        Directory.Move(path, path + ".replaced");
        Assert.That(Checkpoint.Open(store.FindNewest()!).Step, Is.EqualTo(1));
        store.CleanUp();
        Assert.That(store.FindNewest(), Is.EqualTo(path));
    }

    [Test]
    public void A_step_can_be_written_again()
    {
        using OptimizerTrial trial = Trained(1);
        var store = new CheckpointStore(_directory.Path);
        string path = Write(store, trial);
        File.Delete(Path.Combine(path, "model.bin"));
        Assert.That(Checkpoint.Open(Write(store, trial)).Step, Is.EqualTo(1));
        Assert.That(Names(), Is.EqualTo(new[] { "step-00000001" }));
    }

    [Test]
    public void A_full_disk_leaves_the_checkpoint_before([Values(0, 500, 3000, 20_000, 26_000)] int room)
    {
        using OptimizerTrial trial = Trained(1);
        string first = Write(new CheckpointStore(_directory.Path), trial);
        byte[][] before = [.. Files.Select(file => File.ReadAllBytes(Path.Combine(first, file)))];
        trial.Step();

        var disk = new SmallDisk(room);
        var full = new CheckpointStore(_directory.Path, keep: 1, disk.Create);
        Assert.That(() => Write(full, trial),
            Throws.TypeOf<RunFailedException>().With.Message.Contains("No space left").And.Message.Contains($"{first} is complete"));
        Assert.That(Names(), Is.EqualTo(new[] { "step-00000001" }));
        Assert.That(Files.Select(file => File.ReadAllBytes(Path.Combine(first, file))), Is.EqualTo(before));
        Assert.That(Checkpoint.Open(first).Step, Is.EqualTo(1));
    }

    [Test]
    public void A_full_disk_at_the_first_checkpoint_says_that_there_is_none()
    {
        using OptimizerTrial trial = Trained(1);
        var store = new CheckpointStore(_directory.PathOf("checkpoints"), 0, new SmallDisk(100).Create);
        Assert.That(() => Write(store, trial), Throws.TypeOf<RunFailedException>().With.Message.Contains("no earlier checkpoint"));
    }

    [Test]
    public void A_negative_number_to_keep_is_refused() =>
        Assert.That(() => new CheckpointStore("x", -1), Throws.TypeOf<RequestException>().With.Message.Contains("--keep"));

    private static OptimizerTrial Trained(int steps)
    {
        var trial = new OptimizerTrial(() => new ReferenceBackend(), Rule);
        trial.Run(steps);
        return trial;
    }

    private static string Write(CheckpointStore store, OptimizerTrial trial) => store.Write(trial.Backend, OptimizerTrial.Model, trial.Weights, trial.Optimizer,
        new TrainingProgress(trial.Optimizer.StepsTaken * 64, trial.Optimizer.StepsTaken * 16, Seed: 42, BestValidationLoss: 1.5, BestStep: 1));

    private string[] Names() => [.. Directory.GetDirectories(_directory.Path).Select(path => Path.GetFileName(path)).Order()];

    private void CopyOf(string path, string name)
    {
        Directory.CreateDirectory(_directory.PathOf(name));
        foreach (string file in Directory.GetFiles(path))
            File.Copy(file, Path.Combine(_directory.PathOf(name), Path.GetFileName(file)));
    }

    /// <summary>A disk on which only some bytes are left.</summary>
    private sealed class SmallDisk(int room)
    {
        private int _room = room;

        public Stream Create(string path) => new SmallFile(this, path);

        private sealed class SmallFile(SmallDisk disk, string path) : FileStream(path, FileMode.CreateNew)
        {
            public override void Write(ReadOnlySpan<byte> buffer)
            {
                disk._room -= buffer.Length;
                if (disk._room < 0)
                    throw new IOException("No space left on device");
                base.Write(buffer);
            }
        }
    }
}
