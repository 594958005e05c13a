using Trainer.Cli.Display;

namespace Trainer.Tests.Cli;

public sealed class PlainConsoleTests
{
    [Test]
    public void A_run_is_lines_without_control_codes()
    {
        using var output = new StringWriter { NewLine = "\n" };
        var clock = new SteppedClock();
        RecordedRun.Play(new PlainConsole(output, clock), clock);

        Assert.That(output.ToString(), Is.EqualTo("""
            run     runs/first
            device  CPU, 2 threads, AVX-512
            model   L=4 NH=4 C=256 T=256 V=1024, 3,500,000 parameters
            data    data/shakespeare, 1,000,000 tokens
            rule    adam, decay 0.1 (13.a)
            steps   10, 2,048 tokens each
            memory  weights         bf16         6.7 MiB
                    master weights  fp32        13.4 MiB
                    gradients       fp32        13.4 MiB
                    first moment    fp32        13.4 MiB
                    second moment   fp32        13.4 MiB
                    activations     bf16        40.0 MiB
                    workspace                    1.0 MiB
                    total                      101.1 MiB
            step 1/10  loss 6.7500  lr 1.00e-3  gradient 1.500  weights x1.0100  2,048 tokens/s  0:09 left
            step 3/10  loss 6.2500  lr 3.33e-4  gradient 1.500  weights x1.0300  2,048 tokens/s  0:07 left
            step 5/10  loss 5.7500  lr 2.00e-4  gradient 1.500  weights x1.0500  2,048 tokens/s  0:05 left
            step 5: validation loss 5.8500, training loss 5.7500
            step 7/10  loss 5.2500  lr 1.43e-4  gradient 1.500  weights x1.0700  2,048 tokens/s  0:03 left
            step 9/10  loss 4.7500  lr 1.11e-4  gradient 1.500  weights x1.0900  2,048 tokens/s  0:01 left
            step 10/10  loss 4.5000  lr 1.00e-4  gradient 1.500  weights x1.1000  2,048 tokens/s  0:00 left
            step 10: validation loss 4.6000, training loss 4.5000
            step 10: a sample
              | To be�[31m or
              | not [b]
            step 10: saved runs/first/checkpoints/step-00000010
            Done after step 10, 0:10, 2,048 tokens/s.
            Validation loss 4.6000, training loss 4.5000.
            Everything is in runs/first; last checkpoint runs/first/checkpoints/step-00000010
            Try:    trainer sample --run runs/first

            """));
    }
}
