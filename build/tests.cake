// tests.cake - running tests, and reading what came of them.
#load "processes.cake"

// What came of a run: counts, and the tests that failed with the first line of what they said.
record TestOutcome(int Passed, int Failed, int Skipped, IReadOnlyList<(string Test, string Message)> Failures);

// The outcome that a folder of TRX files records.
TestOutcome ReadOutcome(DirectoryPath folder)
{
    int passed = 0, failed = 0, skipped = 0;
    var failures = new List<(string, string)>();
    foreach (var file in GetFiles($"{folder}/**/*.trx"))
    {
        var document = new System.Xml.XmlDocument();
        document.Load(file.FullPath);
        var counters = (System.Xml.XmlElement)document.GetElementsByTagName("Counters")[0];
        int Count(string name) => int.Parse(counters.GetAttribute(name));
        passed += Count("passed");
        skipped += Count("total") - Count("executed");
        // Whatever ran and did not pass: failed, error, timeout, aborted.
        failed += Count("executed") - Count("passed");
        foreach (System.Xml.XmlElement result in document.GetElementsByTagName("UnitTestResult"))
        {
            if (result.GetAttribute("outcome") != "Failed")
                continue;
            string message = result.GetElementsByTagName("Message").Cast<System.Xml.XmlElement>().FirstOrDefault()?.InnerText ?? "";
            failures.Add((result.GetAttribute("testName"), FirstLine(message)));
        }
    }

    return new(passed, failed, skipped, failures);

    // Of an assertion's message the line that says what was found; NUnit puts the expression that failed before it.
    static string FirstLine(string message)
    {
        var lines = message.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0).ToList();
        return lines.FirstOrDefault(line => !line.StartsWith("Assert.That(")) ?? lines.FirstOrDefault() ?? "";
    }
}

// Runs the tests of a solution or project that is built, shows their output, and fails when a test does.
void RunTests(string project, DirectoryPath results, string moreArguments = "")
{
    CleanDirectory(results);
    string failure = null;
    try
    {
        DotNetTest(project, new DotNetTestSettings
        {
            Configuration = configuration,
            NoBuild = true,
            ResultsDirectory = results,
            Loggers = ["trx"],
            ArgumentCustomization = arguments => arguments.Append(moreArguments),
        });
    }
    catch (CakeException exception)
    {
        failure = exception.Message;
    }

    outcome = ReadOutcome(results);
    if (outcome.Failed > 0)
        throw new CakeException($"{outcome.Failed} tests failed.");
    if (outcome.Passed == 0)
        throw new CakeException("No test was executed.");
    if (failure != null)
        throw new CakeException($"The test run failed outside the tests: {failure}");
}
